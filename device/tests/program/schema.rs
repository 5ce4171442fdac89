//! `ringwave schema`: the figures of every card are as it says, and what is not as it says is told apart.

use std::path::Path;
use std::process::Command;

use crate::guest::{Guest, Setup};
use crate::serving::Serving;
use crate::virtio_driver::song::{prepare, song};
use crate::{hda_driver, virtio_driver};
use serde_json::{Value, json};

const SERVE: [&str; 6] = ["--control", "control.sock", "--once", "--stats", "stats.json", "--card"];

fn schema() -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_ringwave")).arg("schema").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Whether a value is as a schema says, or where it is not.
fn check(schema: &Value, all: &Value, value: &Value, at: &str) -> Result<(), String> {
    let Some(rules) = schema.as_object() else {
        return if schema == &json!(true) { Ok(()) } else { Err(format!("{at}: must not be")) };
    };
    let number = |rule: &Value| rule.as_f64().unwrap();
    for (name, rule) in rules {
        let holds = match name.as_str() {
            "$schema" | "$defs" | "title" | "description" | "format" | "default" => true,
            "$ref" => {
                let to = all.pointer(rule.as_str().unwrap().trim_start_matches('#')).unwrap();
                check(to, all, value, at)?;
                true
            }
            "type" => match rule {
                Value::Array(types) => types.iter().any(|name| is_a(value, name)),
                name => is_a(value, name),
            },
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|value| value >= number(rule)),
            "maximum" => value.as_f64().is_none_or(|value| value <= number(rule)),
            "anyOf" | "oneOf" => {
                let cases = rule.as_array().unwrap();
                let fit = cases.iter().filter(|case| check(case, all, value, at).is_ok()).count();
                fit == 1 || fit > 1 && name == "anyOf"
            }
            "items" => {
                for (place, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(rule, all, item, &format!("{at}/{place}"))?;
                }
                true
            }
            "required" => value.as_object().is_none_or(|object| {
                rule.as_array().unwrap().iter().all(|key| object.contains_key(key.as_str().unwrap()))
            }),
            "properties" => {
                for (key, rule) in rule.as_object().unwrap() {
                    if let Some(property) = value.get(key) {
                        check(rule, all, property, &format!("{at}/{key}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = rules.get("properties").and_then(Value::as_object);
                for (key, property) in value.as_object().into_iter().flatten() {
                    if known.is_none_or(|known| !known.contains_key(key)) {
                        check(rule, all, property, &format!("{at}/{key}"))?;
                    }
                }
                true
            }
            other => panic!("{other}: this test does not know the rule"),
        };
        if !holds {
            return Err(format!("{at}: {name} {rule}, and it is {value}"));
        }
    }
    Ok(())
}

fn is_a(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other}: no type of JSON"),
    }
}

/// Plays something on a card.
fn play(card: &str, socket: &Path) {
    match card {
        "ringwave" => Guest::connect(socket).play(Setup::USUAL, &vec![1; 40_000]),
        "virtio" => {
            let mut driver = virtio_driver::Driver::connect(socket);
            prepare(&mut driver, 0);
            virtio_driver::song::play(&mut driver, &song(3), 5000, |_| {});
        }
        _ => {
            let mut driver = hda_driver::Driver::connect(socket);
            driver.start_up();
            driver.play(&hda_driver::sound(1), 2);
        }
    }
}

#[test]
fn figures_of_every_card_are_as_the_schema_says() {
    let schema = schema();
    for (card, clock) in [("ringwave", "lockstep"), ("virtio", "lockstep"), ("hda", "realtime")] {
        let dir = tempfile::tempdir().unwrap();
        let mut serving = Serving::start(dir.path(), &[&SERVE[..], &[card, "--clock", clock]].concat());
        let nobody: Value = serde_json::from_str(&serving.obeys(&["stats"])).unwrap();
        play(card, &dir.path().join("card.sock"));
        assert_eq!(serving.wait_for_exit().code(), Some(0), "{card}: {}", serving.last_line());
        let played = serving.stats();
        assert!(played["streams"][0]["frames"].as_u64().unwrap() > 0, "{card}: {played}");
        for report in [nobody, played] {
            assert_eq!(check(&schema, &schema, &report, card), Ok(()));
            assert_eq!(report["schema"], schema["properties"]["schema"]["const"], "{card}: the version");
            wrong_ones_are_told_apart(&schema, &report);
        }
    }
}

fn wrong_ones_are_told_apart(schema: &Value, report: &Value) {
    let refused = |wrong: &Value| check(schema, schema, wrong, "").is_err();
    for object in ["", "/streams/0", "/messages", "/messages/while_running"] {
        for key in report.pointer(object).unwrap().as_object().unwrap().keys() {
            let change = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
                let mut wrong = report.clone();
                change(wrong.pointer_mut(object).unwrap().as_object_mut().unwrap());
                wrong
            };
            assert!(refused(&change(&|object| drop(object.remove(key)))), "{object}/{key} is missing");
            let other = change(&|object| drop(object.insert(key.clone(), json!([[]]))));
            assert!(refused(&other), "{object}/{key} is of another type");
        }
    }
    let mut next = report.clone();
    next["schema"] = json!(report["schema"].as_u64().unwrap() + 1);
    assert!(refused(&next), "of another version");
    next = report.clone();
    next["new"] = json!(1);
    assert!(!refused(&next), "a key more is no other version");
}
