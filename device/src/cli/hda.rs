//! The HD Audio card on the command line: its options of `ringwave serve`, and `ringwave hda --describe`,
//! which prints its codec.

use std::fmt::Write as _;
use std::io::Write;
use std::process::ExitCode;
use std::str::FromStr;

use clap::Args;
use ringwave_engine::clock::HostClock;
use ringwave_hda::codec::tree::{CAPTURE_MAX, RENDER_MAX, TreeConfig, widgets};
use ringwave_hda::controller::Config;
use ringwave_hda::function::{CardConfig, HdaCard, PCI_ID};

use super::commands::{Failure, bad_input};

/// Channels of the speakers unless `--channels` says.
const CHANNELS: u32 = 2;

/// What only the HD Audio card has.
#[derive(Args, Clone, Copy, Debug)]
pub struct HdaArgs {
    /// HD Audio: most bits of a sample; 24 leaves 32 out, so that Linux uses 24
    #[arg(long, value_name = "24|32", value_parser = clap::value_parser!(u32).range(24..=32))]
    pub bits: Option<u32>,
    /// HD Audio: PCI vendor and device id, 8086:293e (ICH9) unless given: Linux binds by them
    #[arg(long, value_name = "VENDOR:DEVICE")]
    pub pci_id: Option<PciId>,
    /// HD Audio: the codec's volume and mute change what is heard and captured. Without it sound is taken as
    /// it is before them, bit for bit, whatever the guest's mixer says
    #[arg(long)]
    pub amplifiers: bool,
    /// HD Audio: PCI power management (D0 and D3hot). Without it the controller never sleeps
    #[arg(long)]
    pub power_management: bool,
}

impl HdaArgs {
    /// Whether one was given: for a card that has none of them.
    pub fn any(&self) -> bool {
        self.bits.is_some() || self.pci_id.is_some() || self.amplifiers || self.power_management
    }
}

/// `--pci-id`.
#[derive(Clone, Copy, Debug)]
pub struct PciId(u16, u16);

impl FromStr for PciId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let id = |text: &str| u16::from_str_radix(text, 16).ok().filter(|id| !matches!(id, 0 | 0xFFFF));
        let ids = text.split_once(':').and_then(|(vendor, device)| Some(Self(id(vendor)?, id(device)?)));
        ids.ok_or_else(|| "two ids of 4 hexadecimal digits, as 8086:293e".to_owned())
    }
}

/// Streams of a command line.
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    /// `--render`.
    pub render: u32,
    /// `--capture`.
    pub capture: u32,
    /// `--channels`, if it was given.
    pub channels: Option<u32>,
}

/// The codec's tree for these options.
pub fn tree(streams: Streams, args: HdaArgs) -> Result<TreeConfig, Failure> {
    let Streams { render, capture, channels } = streams;
    if render > RENDER_MAX || capture > CAPTURE_MAX {
        return Err(bad_input(format!(
            "--card hda: --render and --capture are at most {RENDER_MAX} and {CAPTURE_MAX}; take fewer"
        )));
    }
    let bits_32 = match args.bits {
        None | Some(32) => true,
        Some(24) => false,
        Some(bits) => return Err(bad_input(format!("--bits {bits}: 24 or 32"))),
    };
    Ok(TreeConfig { render, capture, channels: channels.unwrap_or(CHANNELS), bits_32 })
}

/// The card.
pub fn make_card(
    tree: TreeConfig,
    args: HdaArgs,
    loopback: &[Option<u8>],
    clock: HostClock,
    (inputs, trace): (ringwave_host::source::Inputs, bool),
) -> HdaCard {
    let pci_id = args.pci_id.map_or(PCI_ID, |PciId(vendor, device)| (vendor, device));
    let loopback = loopback.iter().copied().take(tree.capture as usize).collect();
    let controller = Config { tree, loopback, amplifiers: args.amplifiers };
    let config = CardConfig { controller, pci_id, power_management: args.power_management, trace };
    config.power_on(clock, Box::new(inputs))
}

/// Print the codec of the HD Audio card: its nodes, and what an operating system makes of them
#[derive(Args, Debug)]
#[command(after_help = "\
The same options as those of `ringwave serve --card hda` give the same codec (device/HDA.md).

Example:
  ringwave hda --describe --render 2 --channels 6")]
pub struct Hda {
    /// Print it; there is nothing else to do yet
    #[arg(long, required = true)]
    pub describe: bool,
    /// Endpoints that play, at most 4
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub render: u32,
    /// Endpoints that record, at most 4
    #[arg(long, value_name = "M", default_value_t = 1)]
    pub capture: u32,
    /// Channels of the speakers, 2 unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=8))]
    pub channels: Option<u32>,
    #[command(flatten)]
    pub options: HdaArgs,
}

/// Runs the command.
pub fn run(arguments: &Hda) -> Result<ExitCode, Failure> {
    let Hda { render, capture, channels, options, .. } = *arguments;
    let tree = tree(Streams { render, capture, channels }, options)?;
    let mut text = format!(
        "codec 0: node 0x01 is the audio function group; 8 to 192 kHz; 16, 20, 24{} bits\n",
        if tree.bits_32 { ", 32" } else { "" }
    );
    for widget in widgets(&tree) {
        // To a string: nothing can fail.
        let _ = writeln!(text, "{widget}");
    }
    // A reader that does not want it all (head) is no failure.
    let _ = write!(std::io::stdout(), "{text}");
    Ok(ExitCode::SUCCESS)
}
