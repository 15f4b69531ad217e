//! TCP segments, as far as the filter of acknowledgements reads them.

use crate::fake::{IPV4, IPV6, frame};

/// The flags of TCP.
pub(crate) const FIN: u8 = 0x01;
pub(crate) const ACK: u8 = 0x10;
pub(crate) const ECE: u8 = 0x40;
/// Two bytes of padding and the timestamps.
pub(crate) const TIMESTAMPS: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6];

/// A segment. The default is a pure acknowledgement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tcp {
    pub(crate) ether_type: u16,
    /// The last byte of the source address.
    pub(crate) source: u8,
    pub(crate) port: u16,
    pub(crate) sequence: u32,
    pub(crate) acknowledgement: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) options: &'static [u8],
    pub(crate) payload: &'static [u8],
}

impl Tcp {
    /// A pure acknowledgement of IPv4.
    pub(crate) const fn ack(port: u16, acknowledgement: u32) -> Self {
        Self {
            ether_type: IPV4,
            source: 1,
            port,
            sequence: 7000,
            acknowledgement,
            flags: ACK,
            window: 5000,
            options: &[],
            payload: &[],
        }
    }

    /// The frame that holds it.
    pub(crate) fn frame(&self) -> Vec<u8> {
        frame(self.ether_type, &self.packet())
    }

    /// The IP packet that holds it.
    pub(crate) fn packet(&self) -> Vec<u8> {
        let offset = 5 + self.options.len() as u8 / 4;
        let segment = [
            &self.port.to_be_bytes()[..],
            &80_u16.to_be_bytes(),
            &self.sequence.to_be_bytes(),
            &self.acknowledgement.to_be_bytes(),
            &[offset << 4, self.flags],
            &self.window.to_be_bytes(),
            &[0; 4],
            self.options,
            self.payload,
        ]
        .concat();
        let length = segment.len() as u16;
        let header = if self.ether_type == IPV6 {
            let address = |last| [&[0xfd; 15][..], &[last]].concat();
            [&[0x60, 0, 0, 0][..], &length.to_be_bytes(), &[6, 64], &address(self.source), &address(2)].concat()
        } else {
            let [high, low] = (length + 20).to_be_bytes();
            vec![0x45, 0, high, low, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, self.source, 10, 0, 0, 2]
        };
        [header, segment].concat()
    }
}
