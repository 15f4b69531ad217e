//! How the units are written down: a table for people, and a line for each unit.

use core::fmt::{Result, Write};

use haiku_sys::team_id;
use tuntap_driver::{Counters, InterfaceState, Overview};

use super::team::TeamName;
use crate::reasons::{self, Place};

/// Who has a unit open.
pub(super) enum Opener {
    /// A team, and its name unless it has ended, as after handing the descriptor to a child.
    Team(team_id, Option<TeamName>),
    /// It is not known yet.
    Unknown,
}

/// One unit at one moment.
pub(super) struct Entry {
    pub(super) mode: &'static str,
    pub(super) dropped: &'static [Place],
    pub(super) number: usize,
    pub(super) opener: Option<Opener>,
    pub(super) overview: Overview,
}

impl Entry {
    const fn interface(&self) -> &'static str {
        match self.overview.interface {
            InterfaceState::Absent => "none",
            InterfaceState::Down => "down",
            InterfaceState::Up => "up",
        }
    }

    const fn link(&self) -> &'static str {
        if self.overview.has_link { "up" } else { "down" }
    }
}

/// Writes the first line of the table.
pub(super) fn write_title(out: &mut impl Write) -> Result {
    writeln!(out, "tun_tap {}", env!("CARGO_PKG_VERSION"))
}

/// Writes a unit's part of the table.
pub(super) fn write_unit(out: &mut impl Write, entry: &Entry) -> Result {
    let (overview, link) = (&entry.overview, &entry.overview.link);
    let [a, b, c, d, e, f] = link.address;
    write!(
        out,
        "\n{}/{}: interface {}, link {}, mtu {}, ",
        entry.mode,
        entry.number,
        entry.interface(),
        entry.link(),
        link.mtu
    )?;
    writeln!(out, "address {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")?;
    match &entry.opener {
        None => writeln!(out, "  not open")?,
        Some(Opener::Unknown) => writeln!(out, "  open")?,
        Some(Opener::Team(team, Some(name))) => writeln!(out, "  open by {name}, team {team}")?,
        Some(Opener::Team(team, None)) => writeln!(out, "  open by team {team}, which has ended")?,
    }
    writeln!(out, "  {:<26}{:>22}{:>22}", "", "to user", "to stack")?;
    let statistics = &overview.statistics;
    let mut row = |name: &str, to_user: u64, to_stack: u64| writeln!(out, "  {name:<26}{to_user:>22}{to_stack:>22}");
    write_counters(&mut row, &statistics.to_user, &statistics.to_stack)?;
    let (to_user, to_stack) = (statistics.to_user_queued, statistics.to_stack_queued);
    row("queued packets", to_user.packets.into(), to_stack.packets.into())?;
    row("queued bytes", to_user.bytes.into(), to_stack.bytes.into())?;
    let (to_user, to_stack) = (overview.to_user_limits, overview.to_stack_limits);
    row("limit in packets", to_user.packets.into(), to_stack.packets.into())?;
    row("limit in bytes", to_user.bytes.into(), to_stack.bytes.into())?;
    for (position, &place) in entry.dropped.iter().enumerate() {
        let dropped = |counters| reasons::dropped(counters, place);
        let (to_user, to_stack) = (dropped(&statistics.to_user), dropped(&statistics.to_stack));
        if to_user > 0 || to_stack > 0 {
            writeln!(out, "  {:<9}{:<17}{to_user:>22}{to_stack:>22}", "dropped:", reasons::name(position))?;
        }
    }
    Ok(())
}

/// Writes the rows that stand in every table.
fn write_counters(row: &mut impl FnMut(&str, u64, u64) -> Result, to_user: &Counters, to_stack: &Counters) -> Result {
    row("accepted packets", to_user.accepted, to_stack.accepted)?;
    row("accepted bytes", to_user.accepted_bytes, to_stack.accepted_bytes)?;
    row("delivered packets", to_user.delivered, to_stack.delivered)?;
    row("delivered bytes", to_user.delivered_bytes, to_stack.delivered_bytes)?;
    row("answered", to_user.answered, to_stack.answered)?;
    row("purged", to_user.purged, to_stack.purged)?;
    row("truncated", to_user.truncated, to_stack.truncated)
}

/// Writes the line above the units' lines.
pub(super) fn write_heading(out: &mut impl Write) -> Result {
    writeln!(
        out,
        "{:<7} {:<4} {:<4} {:>10} {:>12} {:>10} {:>7} {:>10} {:>12} {:>10} {:>7} {:>6} OPENER",
        "UNIT",
        "IF",
        "LINK",
        "USER-PKTS",
        "USER-BYTES",
        "USER-DROP",
        "USER-Q",
        "STACK-PKTS",
        "STACK-BYTES",
        "STACK-DROP",
        "STACK-Q",
        "TEAM"
    )
}

/// Writes a unit's line: words without spaces, except the opener's name at its end, and `-` for what there is not.
/// Packets and bytes are those delivered.
pub(super) fn write_line(out: &mut impl Write, entry: &Entry) -> Result {
    let interface = if entry.overview.interface == InterfaceState::Absent { "-" } else { entry.interface() };
    let padding = match entry.number {
        0..=9 => "  ",
        10..=99 => " ",
        _ => "",
    };
    write!(out, "{}/{}{padding} {interface:<4} {:<4}", entry.mode, entry.number, entry.link())?;
    let statistics = &entry.overview.statistics;
    for (counters, queued) in
        [(&statistics.to_user, statistics.to_user_queued), (&statistics.to_stack, statistics.to_stack_queued)]
    {
        let (packets, bytes, dropped) = (counters.delivered, counters.delivered_bytes, counters.all_dropped());
        write!(out, " {packets:>10} {bytes:>12} {dropped:>10} {:>7}", queued.packets)?;
    }
    match &entry.opener {
        None | Some(Opener::Unknown) => writeln!(out, " {:>6} -", "-"),
        Some(Opener::Team(team, Some(name))) => writeln!(out, " {team:>6} {name}"),
        Some(Opener::Team(team, None)) => writeln!(out, " {team:>6} -"),
    }
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    use tuntap_driver::{Backlog, Limits, Link, Statistics};

    use super::*;

    fn name(text: &str) -> TeamName {
        let mut bytes = [0; 32];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        TeamName::new(bytes)
    }

    /// A unit through which went so many packets.
    fn entry(number: usize, packets: u64) -> Entry {
        let mut counters = Counters::ZERO;
        counters.accepted = packets;
        counters.delivered_bytes = packets;
        Entry {
            mode: "tun",
            dropped: reasons::TUN_PLACES,
            number,
            opener: None,
            overview: Overview {
                open: false,
                interface: InterfaceState::Absent,
                has_link: false,
                link: Link { address: [2, 0, 0xab, 0, 0, 1], promiscuous: false, mtu: 1500 },
                to_user_limits: Limits::DEFAULT,
                to_stack_limits: Limits::MOST,
                statistics: Statistics {
                    to_user: counters,
                    to_user_queued: Backlog { packets: 3, bytes: 300, next: 100 },
                    to_stack: Counters::ZERO,
                    to_stack_queued: Backlog::default(),
                },
            },
        }
    }

    fn unit(entry: &Entry) -> String {
        let mut text = String::new();
        write_unit(&mut text, entry).unwrap();
        text
    }

    fn line(entry: &Entry) -> String {
        let mut text = String::new();
        write_line(&mut text, entry).unwrap();
        text
    }

    #[test]
    fn a_units_table_has_a_column_for_each_direction() {
        let mut entry = entry(7, 12);
        entry.opener = Some(Opener::Team(412, Some(name("openvpn"))));
        entry.overview.interface = InterfaceState::Up;
        entry.overview.has_link = true;
        let expected = [
            "",
            "tun/7: interface up, link up, mtu 1500, address 02:00:ab:00:00:01",
            "  open by openvpn, team 412",
            "                                           to user              to stack",
            "  accepted packets                              12                     0",
            "  accepted bytes                                 0                     0",
            "  delivered packets                              0                     0",
            "  delivered bytes                               12                     0",
            "  answered                                       0                     0",
            "  purged                                         0                     0",
            "  truncated                                      0                     0",
            "  queued packets                                 3                     0",
            "  queued bytes                                 300                     0",
            "  limit in packets                             512                 65536",
            "  limit in bytes                           1048576              67108864",
        ];
        assert_eq!(unit(&entry).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_missing_table_entry_is_reported() {
        let mut entry = entry(0, 0);
        let second = |entry: &Entry| unit(entry).lines().nth(2).map(String::from);
        assert!(unit(&entry).starts_with("\ntun/0: interface none, link down, "));
        assert_eq!(second(&entry).as_deref(), Some("  not open"));
        entry.opener = Some(Opener::Unknown);
        assert_eq!(second(&entry).as_deref(), Some("  open"));
        entry.opener = Some(Opener::Team(9, None));
        assert_eq!(second(&entry).as_deref(), Some("  open by team 9, which has ended"));
    }

    #[test]
    fn no_number_is_too_long_for_its_column() {
        let text = unit(&entry(255, u64::MAX));
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        assert!(text.contains("   18446744073709551615  "), "{text}");
    }

    #[test]
    fn a_line_has_as_many_words_as_the_heading_and_the_openers_name_last() {
        let mut heading = String::new();
        write_heading(&mut heading).unwrap();
        let words = heading.split_whitespace().count();
        let mut entry = entry(255, u64::MAX);
        assert_eq!(line(&entry).split_whitespace().count(), words, "{}", line(&entry));
        entry.opener = Some(Opener::Team(412, Some(name("two words"))));
        assert!(line(&entry).ends_with("    412 two words\n"));
        assert_eq!(line(&entry).split_whitespace().count(), words + 1);
    }

    #[test]
    fn lines_stand_below_the_heading() {
        let mut heading = String::new();
        write_heading(&mut heading).unwrap();
        for number in [1, 23, 255] {
            let (line, team) = (line(&entry(number, 5)), heading.find(" TEAM").unwrap() + " TEAM".len());
            assert_eq!(&line[..8], format!("{:<8}", format!("tun/{number}")));
            assert_eq!(&line[team..], " -\n");
            let bytes = heading.find("USER-BYTES").unwrap() + "USER-BYTES".len();
            assert_eq!(&line[bytes - 2..bytes + 1], " 5 ");
        }
    }
}
