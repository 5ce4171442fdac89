//! `ringwave libvirt`: what a card needs in the XML of a libvirt domain, and what a domain lacks of it.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Args;
use roxmltree::{Document, Node};

use super::commands::{FAILED, Failure, bad_input};
use super::findings::{Finding, Severity};
use super::serve::CardKind;

/// The namespace of what libvirt passes on to QEMU as it is.
const QEMU: &str = "http://libvirt.org/schemas/domain/qemu/1.0";

/// Print what a libvirt domain needs for a card, or look what it lacks
///
/// Without a domain: the XML, and the rule that lets QEMU open the socket. With one: whether its XML has it.
/// Nothing is changed.
#[derive(Args, Debug)]
#[command(after_help = "\
libvirt knows neither device, so QEMU's own arguments carry the card. The card listens before the domain starts.

Exit codes: 0 printed, or nothing is missing; 1 something is missing; 2 there is no such domain.

Examples:
  ringwave libvirt --socket /run/ringwave/card.sock
  ringwave libvirt windows11
  virsh dumpxml windows11 | ringwave libvirt -")]
pub struct Libvirt {
    /// The domain, by its name (asks virsh), as a file of XML, or - for standard input
    #[arg(value_name = "DOMAIN")]
    pub domain: Option<String>,
    /// Which card
    #[arg(long, value_enum, default_value_t = CardKind::Ringwave)]
    pub card: CardKind,
    /// The socket of ringwave serve
    #[arg(long, value_name = "SOCKET", default_value = "/run/ringwave/card.sock")]
    pub socket: PathBuf,
}

/// Runs the command.
pub fn run(arguments: &Libvirt) -> Result<ExitCode, Failure> {
    let socket =
        arguments.socket.to_str().filter(|socket| !socket.contains(['\'', '<', '&', '"', ',', '\\']));
    let socket = socket.ok_or_else(|| {
        bad_input("--socket: a path with quotes, commas, <, & or a backslash is not for XML and JSON")
    })?;
    let mut out = std::io::stdout().lock();
    let Some(domain) = &arguments.domain else {
        // A reader that does not want it all (head) is no failure.
        let _ = out.write_all(xml(arguments.card, socket).as_bytes());
        return Ok(ExitCode::SUCCESS);
    };
    let text = read(domain)?;
    let findings = look(&text, arguments.card).map_err(|error| bad_input(format!("{domain}: {error}")))?;
    for finding in &findings {
        let _ = writeln!(out, "{finding}");
    }
    if findings.iter().all(|finding| finding.severity == Severity::Ok) {
        return Ok(ExitCode::SUCCESS);
    }
    let _ = writeln!(out, "ringwave libvirt without a domain prints what is missing here");
    Ok(ExitCode::from(FAILED))
}

/// The XML of a domain.
fn read(domain: &str) -> Result<String, Failure> {
    if domain == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| bad_input(format!("standard input: {error}")))?;
        return Ok(text);
    }
    if Path::new(domain).is_file() {
        return std::fs::read_to_string(domain).map_err(|error| bad_input(format!("{domain}: {error}")));
    }
    let asked = Command::new("virsh").args(["dumpxml", "--", domain]).stdin(Stdio::null()).output();
    let asked = asked.map_err(|error| {
        bad_input(format!(
            "{domain} is no file, and virsh cannot be asked ({error}); give a file of XML, or -"
        ))
    })?;
    if !asked.status.success() {
        let said = String::from_utf8_lossy(&asked.stderr);
        let why = said.lines().next().unwrap_or("virsh failed").trim_start_matches("error: ");
        return Err(bad_input(format!("{domain}: {why}; virsh list --all lists those there are")));
    }
    Ok(String::from_utf8_lossy(&asked.stdout).into_owned())
}

/// The arguments of QEMU that plug the card in: at a root port of its own and with a name, so that it can be
/// unplugged while the machine runs. libvirt numbers the chassis of its own root ports from 1.
fn plug(card: CardKind, socket: &str) -> Vec<String> {
    let port = r#"{"driver":"pcie-root-port","id":"root-port","bus":"pcie.0","chassis":200}"#.to_owned();
    let mut arguments = vec!["-device".to_owned(), port];
    let device = match card {
        CardKind::Ringwave | CardKind::Hda => {
            format!(r#""driver":"vfio-user-pci","socket":{{"type":"unix","path":"{socket}"}}"#)
        }
        CardKind::Virtio => {
            arguments.extend(["-chardev".to_owned(), format!("socket,id=ringwave,path={socket}")]);
            r#""driver":"vhost-user-snd-pci","chardev":"ringwave""#.to_owned()
        }
    };
    arguments.extend(["-device".to_owned(), format!(r#"{{"id":"card","bus":"root-port",{device}}}"#)]);
    arguments
}

fn xml(card: CardKind, socket: &str) -> String {
    let arguments: String = plug(card, socket)
        .iter()
        .fold(String::new(), |lines, argument| lines + &format!("    <qemu:arg value='{argument}'/>\n"));
    let folder = Path::new(socket).parent().unwrap_or(Path::new("/")).display();
    format!(
        "<!-- virsh edit DOMAIN: the first line gets the namespace, the rest goes anywhere within <domain>. -->
<domain type='kvm' xmlns:qemu='{QEMU}'>
  <memoryBacking>
    <source type='memfd'/>
    <access mode='shared'/>
  </memoryBacking>
  <qemu:commandline>
{arguments}  </qemu:commandline>
</domain>
<!-- A machine of type pc (i440fx) has no pcie.0: leave the first -device out, and the bus of the other.
Where AppArmor guards QEMU, in /etc/apparmor.d/local/abstractions/libvirt-qemu, then restart libvirtd:
  {folder}/*.sock rw,
The socket belongs to whom QEMU runs as (libvirt-qemu, qemu), or to a group of his. -->
"
    )
}

/// What a domain has and lacks for this card.
fn look(text: &str, card: CardKind) -> Result<Vec<Finding>, roxmltree::Error> {
    let document = Document::parse(text)?;
    let domain = document.root_element();
    Ok(vec![memory(domain, card), plugged(domain, card)])
}

fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.is_element() && child.tag_name().name() == name)
}

fn memory(domain: Node<'_, '_>, card: CardKind) -> Finding {
    const NEXT: &str = "virt-xml DOMAIN --edit --memorybacking source.type=memfd,access.mode=shared";
    let backing = child(domain, "memoryBacking");
    let attribute = |element: &str, name: &str| {
        let node = backing.and_then(|backing| child(backing, element))?;
        node.attribute(name).map(str::to_owned)
    };
    let (source, access) = (attribute("source", "type"), attribute("access", "mode"));
    let huge = backing.and_then(|backing| child(backing, "hugepages")).is_some();
    if access.as_deref() != Some("shared") {
        return Finding::missing("memory: not shared, and the card cannot reach it", NEXT);
    }
    // vfio-user takes any memory that is a file.
    let sealed = card == CardKind::Virtio;
    if sealed && source.as_deref() != Some("memfd") {
        let source = source.unwrap_or_else(|| "its default source".to_owned());
        return Finding::missing(format!("memory: shared, but {source} and not a memfd"), NEXT);
    }
    if sealed && huge {
        return Finding::missing(
            "memory: a memfd of huge pages, whose rings the virtio card cannot trust",
            "leave <hugepages/> out, or take another card",
        );
    }
    Finding::ok("memory: shared")
}

fn plugged(domain: Node<'_, '_>, card: CardKind) -> Finding {
    const NEXT: &str = "virsh edit DOMAIN: <qemu:commandline> and its namespace in the first line";
    let device = if card == CardKind::Virtio { "vhost-user-snd" } else { "vfio-user-pci" };
    let in_namespace = |node: &Node<'_, '_>| {
        node.tag_name().name() == "commandline" && node.tag_name().namespace() == Some(QEMU)
    };
    let Some(line) = domain.children().find(in_namespace) else {
        return Finding::missing("card: no <qemu:commandline>, so nothing plugs it in", NEXT);
    };
    let values = line.children().filter_map(|argument| argument.attribute("value"));
    if values.clone().any(|value| value.contains(device)) {
        return Finding::ok(format!("card: {device} is on QEMU's command line"));
    }
    let line = values.collect::<Vec<_>>().join(" ");
    Finding::missing(format!("card: QEMU's command line has no {device}: {line}"), NEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn troubles(text: &str, card: CardKind) -> Vec<String> {
        let missing = |finding: Finding| (finding.severity == Severity::Missing).then_some(finding.what);
        look(text, card).unwrap().into_iter().filter_map(missing).collect()
    }

    #[test]
    fn what_it_prints_lacks_nothing() {
        for card in [CardKind::Ringwave, CardKind::Virtio, CardKind::Hda] {
            assert_eq!(troubles(&xml(card, "/run/ringwave/card.sock"), card), Vec::<String>::new());
        }
        let other = troubles(&xml(CardKind::Hda, "/a.sock"), CardKind::Virtio);
        assert!(other[0].contains("no vhost-user-snd"), "{other:?}");
    }

    #[test]
    fn what_a_domain_lacks_is_named() {
        let good = xml(CardKind::Virtio, "/a.sock");
        for (from, to, trouble) in [
            ("<access mode='shared'/>", "", "not shared"),
            ("type='memfd'", "type='file'", "file and not a memfd"),
            ("<source type='memfd'/>", "", "its default source"),
            ("<source type='memfd'/>", "<source type='memfd'/><hugepages/>", "huge pages"),
            ("domain/qemu/1.0", "domain/qemu/2.0", "no <qemu:commandline>"),
            ("vhost-user-snd-pci", "virtio-sound-pci", "no vhost-user-snd"),
        ] {
            let troubles = troubles(&good.replace(from, to), CardKind::Virtio);
            assert!(troubles.len() == 1 && troubles[0].contains(trouble), "{to}: {troubles:?}");
        }
        let file = xml(CardKind::Ringwave, "/a.sock").replace("type='memfd'", "type='file'");
        assert_eq!(troubles(&file, CardKind::Ringwave), Vec::<String>::new(), "any file will do");
        assert_eq!(troubles("<domain/>", CardKind::Hda).len(), 2);
        assert!(look("<domain>", CardKind::Hda).is_err());
    }
}
