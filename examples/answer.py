import os

tun = os.open("/dev/tun/0", os.O_RDWR)
while True:
    packet = bytearray(os.read(tun, 65536))
    start = (packet[0] & 15) * 4
    if packet[0] >> 4 != 4 or packet[9] != 1 or packet[start] != 8:
        continue                                    # not an IPv4 echo request
    packet[12:16], packet[16:20] = packet[16:20], packet[12:16]
    packet[start] = 0                               # now it is a reply
    checksum = int.from_bytes(packet[start + 2:start + 4], "big") + 0x0800
    checksum = (checksum & 0xffff) + (checksum >> 16)
    packet[start + 2:start + 4] = checksum.to_bytes(2, "big")
    os.write(tun, packet)
