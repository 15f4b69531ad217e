//! The table of a device's states in `ARCHITECTURE.md`: what each call gets in each state.

use tuntap_driver::{Blocking, Descriptor, DropReason, Error, Event};

use crate::fake::{Entry, INTERFACE, IPV4, Rig, ToyTun, frame, packet4};

const ARCHITECTURE: &str = include_str!("../../../ARCHITECTURE.md");

/// Brings a device into a state of the table. Calls of the program are made by the descriptor, if there is one.
fn bring(state: &str) -> (Rig<ToyTun>, Option<Descriptor>) {
    let rig = Rig::new();
    let open = |rig: &Rig<ToyTun>| Some(rig.device.open(Blocking::DontWait).unwrap());
    let descriptor = match state {
        "opened, no interface" => open(&rig),
        "interface down" => {
            rig.device.attach();
            open(&rig)
        }
        "up" => {
            rig.device.attach();
            rig.device.up(INTERFACE);
            open(&rig)
        }
        "deleted" | "deleted, reported" => {
            let attachment = rig.device.attach();
            rig.device.up(INTERFACE);
            let descriptor = open(&rig);
            rig.device.detach(attachment);
            if let ("deleted, reported", Some(descriptor)) = (state, &descriptor) {
                assert_eq!(rig.read(descriptor), Err(Error::Gone));
                assert_eq!(rig.write(descriptor, &packet4(1, 40)), Err(Error::Gone));
            }
            descriptor
        }
        "closed" => {
            rig.device.attach();
            rig.device.up(INTERFACE);
            let descriptor = open(&rig);
            rig.device.close();
            descriptor
        }
        "up, not opened" => {
            rig.device.attach();
            rig.device.up(INTERFACE);
            None
        }
        _ => panic!("the table has a state that this test does not know: {state}"),
    };
    (rig, descriptor)
}

/// Returns the events of which a select is notified at once.
fn told(rig: &Rig<ToyTun>) -> String {
    let events = [(Event::Read, "in"), (Event::Write, "out"), (Event::Error, "err"), (Event::Disconnected, "hup")];
    let told: Vec<_> = events
        .into_iter()
        .filter(|&(event, _)| {
            let entry = Entry::new();
            rig.device.select(entry.sync(), event);
            rig.device.deselect(entry.sync(), event);
            entry.told(event) > 0
        })
        .map(|(_, name)| name)
        .collect();
    if told.is_empty() { "nothing".to_owned() } else { told.join(", ") }
}

fn outcome<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => "done".to_owned(),
        Err(Error::WouldBlock) => "waits".to_owned(),
        Err(Error::Closed) => "`EBADF`".to_owned(),
        Err(Error::Gone) => "`ENXIO`".to_owned(),
        Err(Error::NetworkDown) => "`ENETDOWN`".to_owned(),
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn a_device_does_in_each_state_what_the_architecture_says() {
    let rows: Vec<Vec<&str>> = ARCHITECTURE
        .lines()
        .skip_while(|line| !line.starts_with("| State | `read`"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), 7, "states in the table");
    for row in rows {
        let (rig, descriptor) = bring(row[0]);
        // The select comes first, because a read and a write may report a loss.
        let poll = descriptor.as_ref().map_or("–".to_owned(), |_| told(&rig));
        let read = descriptor.as_ref().map_or("–".to_owned(), |descriptor| outcome(rig.read(descriptor)));
        let write =
            descriptor.as_ref().map_or("–".to_owned(), |descriptor| outcome(rig.write(descriptor, &packet4(1, 40))));
        let sent = match rig.send(&frame(IPV4, &packet4(1, 40))) {
            Ok(()) => "queued".to_owned(),
            Err(DropReason::Down) => "`down`".to_owned(),
            Err(DropReason::NoProgram) => "`no-program`".to_owned(),
            Err(reason) => format!("{reason:?}"),
        };
        assert_eq!(row[1..], [read, write, poll, sent], "state: {}", row[0]);
    }
}
