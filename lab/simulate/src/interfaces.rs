//! What the stack does with interfaces: each step done to the driver's hooks and to the model.

use std::ffi::CString;
use std::ptr::null_mut;

use haiku_kernel::{Fault, FaultPlan, fault};
use haiku_sys::{B_ENTRY_NOT_FOUND, B_NO_MEMORY, B_OK, EINVAL, ETHER_TYPE_IPV6, IFF_PROMISC, net_device};

use super::frame::Frame;
use super::model::{Device, GROUP, Trouble};
use super::step::Step;
use super::world::{Checked, Interface, World, agree, is_tun, name, same};
use haiku_stack::link_address;
use haiku_stack::strerror;

/// Calls a hook of the interface's, which every driver has.
macro_rules! hook {
    ($world:expr, $hook:ident($($argument:expr),*)) => {{
        // SAFETY: the module is loaded as long as the world lives.
        let hook = unsafe { &*$world.module }.$hook.ok_or(concat!("there is no ", stringify!($hook)))?;
        // SAFETY: called as the stack would: devices are alive, and places are fit to be written.
        unsafe { hook($($argument),*) }
    }};
}

impl World {
    pub(super) fn attach(&mut self, unit: usize, slot: usize, plan: FaultPlan) -> Checked {
        let name = CString::new(name(unit)).map_err(|error| error.to_string())?;
        let mut device = null_mut();
        fault::arm(plan);
        let real = hook!(self, init_device(name.as_ptr(), &raw mut device));
        let model = match fault::fired() {
            Some(Fault::GetModule) => B_ENTRY_NOT_FOUND,
            Some(_) => B_NO_MEMORY,
            None => B_OK,
        };
        same("init_device", &real, &model)?;
        if model != B_OK {
            return Ok(());
        }
        self.serial += 1;
        let serial = self.serial;
        self.interfaces[slot] = Some(Interface { device, unit, serial });
        self.shown[unit] = Some(serial);
        self.units[unit].get_or_insert_with(|| Device::new(is_tun(unit))).attach(serial);
        Ok(())
    }

    /// What the stack does with an interface.
    pub(super) fn stack(&mut self, step: &Step, slot: usize, there: Interface, plan: FaultPlan) -> Checked {
        let Interface { device, unit, serial } = there;
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
                hook!(self, uninit_device(device));
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
                same("up", &hook!(self, up(device)), &B_OK)?;
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
                let bytes = shape.bytes(model.address, true);
                let frame = Frame::new(&bytes).map_err(strerror)?;
                fault::arm(plan);
                let status = hook!(self, send_data(device, frame.as_ptr()));
                let trouble = match fault::fired() {
                    Some(Fault::NetBufferRead) => Trouble::Blind,
                    Some(_) => Trouble::Memory,
                    None => Trouble::None,
                };
                if status == B_OK {
                    frame.give();
                }
                model.send(&bytes, trouble);
                same("send_data", &status, &B_OK)
            }
            Step::Receive { .. } => {
                let Some(expected) = model.receive() else { return Ok(()) };
                let mut packet = null_mut();
                let status = hook!(self, receive_data(device, &raw mut packet));
                let real = if status == B_OK { Frame::taken(packet).bytes() } else { Err(status) };
                agree("receive_data", &real, &expected)
            }
            Step::SetMtu { mtu, .. } => {
                let valid = (68..=65535).contains(&mtu);
                if valid {
                    model.mtu = mtu;
                }
                same("set_mtu", &hook!(self, set_mtu(device, mtu)), &if valid { B_OK } else { EINVAL })
            }
            Step::Promiscuous { on, .. } => {
                model.promiscuous = on;
                same("set_promiscuous", &hook!(self, set_promiscuous(device, on)), &B_OK)?;
                same("IFF_PROMISC", &(flags_of(device) & IFF_PROMISC != 0), &on)
            }
            Step::Group { join, .. } => {
                model.group(serial, join);
                let group = link_address(GROUP, ETHER_TYPE_IPV6 as u16, 0);
                let group = (&raw const group).cast();
                let status = match join {
                    true => hook!(self, add_multicast(device, group)),
                    false => hook!(self, remove_multicast(device, group)),
                };
                same("add_multicast or remove_multicast", &status, &B_OK)
            }
            _ => Ok(()),
        }
    }
}

fn flags_of(device: *mut net_device) -> u32 {
    // SAFETY: the device is alive, and its driver is not at work.
    unsafe { (*device).flags }
}
