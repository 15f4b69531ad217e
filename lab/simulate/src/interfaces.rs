//! What the stack does with interfaces: each step done to the driver's hooks and to the model.

use haiku_kernel::{Fault, FaultPlan, fault};
use haiku_sys::{B_ENTRY_NOT_FOUND, B_NO_MEMORY, IFF_PROMISC};
use tuntap_testkit::card::{Hooks, Packet};

use super::model::{self, GROUP, Trouble, status};
use super::packet;
use super::step::Step;
use super::world::{Checked, Interface, World, agree, is_tun, name, same};
use haiku_stack::strerror;

impl World {
    pub(super) fn attach(&mut self, unit: usize, slot: usize, plan: FaultPlan) -> Checked {
        // SAFETY: the module is loaded as long as the world lives.
        let table = unsafe { &*self.module };
        let name = name(unit);
        fault::arm(plan);
        let real = Hooks::init(table, &name);
        let model = match fault::fired() {
            Some(Fault::GetModule) => Err(B_ENTRY_NOT_FOUND),
            Some(_) => Err(B_NO_MEMORY),
            None => Ok(()),
        };
        agree("init_device", &real.map(drop), &model)?;
        let Ok(hooks) = real else { return Ok(()) };
        self.serial += 1;
        let serial = self.serial;
        self.interfaces[slot] = Some(Interface { hooks, unit, serial });
        self.shown[unit] = Some(serial);
        self.units[unit].get_or_insert_with(|| model::new(is_tun(unit))).attach(serial);
        Ok(())
    }

    /// What the stack does with an interface.
    pub(super) fn stack(&mut self, step: &Step, slot: usize, there: Interface, plan: FaultPlan) -> Checked {
        let Interface { hooks, unit, serial } = there;
        let Some(model) = &mut self.units[unit] else {
            return Err(format!("{} has an interface, and is not", name(unit)));
        };
        match *step {
            Step::Detach { .. } => {
                if self.readers[slot].is_some() {
                    // The stack takes an interface down before it lets it go.
                    model.down();
                    self.take_down(slot);
                    self.settle()?;
                }
                let Some(model) = &mut self.units[unit] else { return Err(format!("{} is not", name(unit))) };
                hooks.uninit();
                model.detach(serial);
                self.interfaces[slot] = None;
                if self.shown[unit] == Some(serial) {
                    self.shown[unit] = None;
                }
                self.forget_idle(unit);
                Ok(())
            }
            Step::Up { reader, .. } => {
                model.up();
                agree("up", &hooks.up(), &Ok(()))?;
                if reader {
                    self.start_reader(slot, unit);
                }
                Ok(())
            }
            Step::Down { .. } => {
                model.down();
                self.take_down(slot);
                Ok(())
            }
            Step::Send { shape, .. } => {
                let bytes = shape.bytes(model.link.address, true);
                let packet = Packet::new(&bytes).map_err(strerror)?;
                fault::arm(plan);
                let sent = hooks.send_packet(packet);
                // If the first look at a frame fails, a longer one decides. Data are looked at once more only to find
                // acknowledgements, of which there are none.
                let is_first = matches!(plan, FaultPlan::Nth(_, 1) | FaultPlan::NthOfAny(1));
                let is_data = packet::is_data(&bytes);
                let trouble = match fault::fired() {
                    Some(Fault::NetBufferRead) if is_first || is_data => Trouble::None,
                    Some(Fault::NetBufferRead) => Trouble::Blind,
                    Some(_) => Trouble::Memory,
                    None => Trouble::None,
                };
                // The stack is not told.
                let _ = model.send(&bytes, trouble);
                agree("send_data", &sent, &Ok(()))
            }
            Step::Receive { .. } => {
                let Some(expected) = model.receive() else { return Ok(()) };
                agree("receive_data", &hooks.receive(), &expected.map_err(status))
            }
            Step::SetMtu { mtu, .. } => {
                let set = model.set_mtu(mtu).map_err(status);
                agree("set_mtu", &hooks.set_mtu(mtu), &set)
            }
            Step::Promiscuous { on, .. } => {
                model.link.promiscuous = on;
                agree("set_promiscuous", &hooks.set_promiscuous(on), &Ok(()))?;
                same("IFF_PROMISC", &hooks.has(IFF_PROMISC), &on)
            }
            Step::Group { join, .. } => {
                let done = if join {
                    model.join(serial, GROUP);
                    hooks.join(GROUP)
                } else {
                    model.leave(serial, GROUP);
                    hooks.leave(GROUP)
                };
                agree("add_multicast or remove_multicast", &done, &Ok(()))
            }
            _ => Ok(()),
        }
    }
}
