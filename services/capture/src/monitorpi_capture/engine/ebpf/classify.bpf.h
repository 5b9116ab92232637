// SPDX-License-Identifier: MIT
/*
 * What a frame is: its addresses and its classes, by the rules of docs/counting.md. Nothing is
 * counted here, and no map is read.
 */

/*
 * The first bytes of the frame lie two bytes into the buffer, so that everything behind the
 * Ethernet header is aligned: the verifier takes no unaligned reads from the stack.
 */
#define AT_DST_MAC 2
#define AT_SRC_MAC 8
#define AT_TYPE 14
#define AT_NETWORK 16
#define AT_TRANSPORT 36 /* behind an IPv4 header without options; from elsewhere it is put here */
#define AT_SAVED 56 /* of an IPv6 header: bytes 16 to 39, some of which lay where that is put */
#define AT_SCRATCH 80 /* a tag, or the start of an extension header */
#define AT_HEADERS 84 /* u32: bytes in front of the payload, 0: not known */
#define BUFFER 88

#define U8(at) (*(__u8 *)(b + (at)))
#define U16(at) __builtin_bswap16(*(__u16 *)(b + (at)))
#define RAW32(at) (*(__u32 *)(b + (at)))
#define RAW64(at) (*(__u64 *)(b + (at)))

/*
 * No class, a bit beside them: neighbour discovery as hosts take it, types 133 to 136 with hop limit
 * 255 (RFC 4861) and in no fragment (RFC 6980).
 */
#define NEIGHBOUR (1ULL << 63)
/* What the inventory reads: frames that say who a device is. */
#define DISCOVERY (C_ARP | C_DHCP | C_MDNS | NEIGHBOUR)

struct frame {
	__u64 mask;
	__u64 src; /* MACs, first byte lowest */
	__u64 dst;
};

/* Read as much as there is; the room behind `to` holds `bits`, all ones, as the verifier wants. */
INLINE long load(struct __sk_buff *skb, __u64 offset, __u8 *to, __u64 most, __u64 bits,
		 __u64 length)
{
	__u64 size = length - offset;

	if (size > most)
		size = most;
	OPAQUE(size);
	size &= bits;
	if (size == 0)
		return -1;
	/* said again for the verifier of Linux 6.1, which learns nothing from "is not 0" */
	size -= 1;
	OPAQUE(size);
	size &= bits;
	return load_bytes(skb, offset, to, size + 1);
}

INLINE int is_tag(__u64 type)
{
	return type == 0x8100 || type == 0x88a8 || type == 0x9100;
}

/* IPv6 headers with a next header: 0, 43, 44, 51, 60, 135, 139, 140. */
INLINE __u64 is_extension(__u64 protocol)
{
	__u64 low = 1ULL << 0 | 1ULL << 43 | 1ULL << 44 | 1ULL << 51 | 1ULL << 60;
	__u64 found = (low >> (protocol & 63) & equal(protocol >> 6, 0)) | equal(protocol, 135) |
		      equal(protocol, 139) | equal(protocol, 140);

	OPAQUE(found);
	return found;
}

/* Classes of a fragment that has no transport header. */
INLINE __u64 later_fragment(__u64 protocol, __u64 icmp, int version)
{
	__u64 mask = when(equal(protocol, 6), C_TCP) | when(equal(protocol, 17), C_UDP) |
		     when(equal(protocol, icmp), C_ICMP);

	return version == 4 ? mask | when(equal(protocol, 2), C_IGMP) : mask;
}

INLINE __u64 either(__u64 a, __u64 b, __u64 port, __u64 class)
{
	return when((none(a ^ port) | none(b ^ port)) >> 63, class);
}

_Static_assert(C_RST == C_FIN << 2, "two bits apart, as in the TCP header");

INLINE __u64 tcp_flags(__u64 flags)
{
	__u64 syn = flags & 2, syn_ack = syn & flags >> 3;

	OPAQUE(syn_ack);
	return (flags & 5) * C_FIN | (syn ^ syn_ack) * (C_SYN >> 1) | syn_ack * (C_SYN_ACK >> 1);
}

INLINE __u64 classify(struct __sk_buff *skb, __u8 *b, __u64 end, __u64 mask)
{
	__u64 type = U16(AT_TYPE), off = 14, start, stop, protocol, place, size, elsewhere, later;
	__u64 ports, src_port, dst_port, length, flags, noise = RAW64(AT_NETWORK);
	int i;

	OPAQUE(noise);
	FORGET(mask, noise);
	FORGET(end, noise);

	if (type != 0x0800) {
		if (is_tag(type)) {
			mask |= C_VLAN;
			if (off + 4 > end)
				return mask | C_MALFORMED;
			if (load_bytes(skb, off, b + AT_SCRATCH, 4))
				return mask;
			type = U16(AT_SCRATCH + 2);
			off += 4;
			if (is_tag(type)) {
				if (off + 4 > end)
					return mask | C_MALFORMED;
				if (load_bytes(skb, off, b + AT_SCRATCH, 4))
					return mask;
				type = U16(AT_SCRATCH + 2);
				off += 4;
			}
		}
		if (type == 0x8864) { /* PPPoE: version and code, session, length, protocol of PPP */
			if (off + 8 > end)
				return mask | C_MALFORMED;
			if (load_bytes(skb, off, b + AT_SAVED, 8))
				return mask;
			if (U16(AT_SAVED) != 0x1100)
				return mask;
			type = U16(AT_SAVED + 6);
			if (type != 0x0021 && type != 0x0057)
				return mask;
			type = type == 0x0021 ? 0x0800 : 0x86dd;
			off += 8;
		}
		if (off > 14) {
			FORGET(off, noise);
			if (off < end && load(skb, off, b + AT_NETWORK, 40, 63, end))
				return mask;
		}
	}

	if (type == 0x0800) {
		if (off + 20 > end)
			return mask | C_MALFORMED;
		size = U8(AT_NETWORK) - 0x40; /* the version, and words of the header */
		if (size - 5 > 10)
			return mask | C_MALFORMED;
		size *= 4;
		mask |= C_IPV4;
		stop = U16(AT_NETWORK + 2);
		stop = stop ? off + stop : end;
		start = off + size;
		if (start > stop || stop > end)
			return mask | C_MALFORMED;
		place = U16(AT_NETWORK + 6) & 0x3fff; /* more fragments, and the offset */
		protocol = U8(AT_NETWORK + 9);
		mask |= when((place + 0x3fff) >> 14, C_FRAGMENT);
		if (place & 0x1fff)
			return mask | later_fragment(protocol, 1, 4);
		if (protocol == 2) {
			mask |= C_IGMP;
			return start + 8 > stop ? mask | C_MALFORMED : mask;
		}
		elsewhere = size - 20;
	} else if (type == 0x86dd) {
		if (off + 40 > end)
			return mask | C_MALFORMED;
		if (U8(AT_NETWORK) >> 4 != 6)
			return mask | C_MALFORMED;
		mask |= C_IPV6;
		stop = U16(AT_NETWORK + 4);
		start = off + 40;
		stop = stop ? start + stop : end;
		if (stop > end)
			return mask | C_MALFORMED;
		protocol = U8(AT_NETWORK + 6);
#pragma unroll
		for (i = 0; i < 8; i++) {
			if (!is_extension(protocol))
				break;
			if (start + 8 > stop)
				return mask | C_MALFORMED;
			if (load_bytes(skb, start, b + AT_SCRATCH, 4))
				return mask;
			/* of a fragment, of an authentication header, of any other */
			later = equal(protocol, 44);
			mask |= when(later, C_FRAGMENT);
			place = -later & U16(AT_SCRATCH + 2) & 0xfff8;
			size = U8(AT_SCRATCH + 1);
			size = (-later & 8) | (-equal(protocol, 51) & (size + 2) * 4) |
			       ((later | equal(protocol, 51)) - 1 & (size + 1) * 8);
			protocol = U8(AT_SCRATCH);
			if (place)
				return mask | later_fragment(protocol, 58, 6);
			start += size;
			OPAQUE(start);
			if (start > stop)
				return mask | C_MALFORMED;
		}
		RAW64(AT_SAVED) = RAW64(AT_NETWORK + 16);
		RAW64(AT_SAVED + 8) = RAW64(AT_NETWORK + 24);
		RAW64(AT_SAVED + 16) = RAW64(AT_NETWORK + 32);
		elsewhere = 1;
	} else if (type == 0x0806) {
		return mask | C_ARP | (off + 8 > end ? C_MALFORMED : 0);
	} else {
		return mask;
	}
	FORGET(mask, noise);
	FORGET(start, noise);
	FORGET(stop, noise);

	if (protocol == 6)
		size = 20;
	else if (protocol == 17)
		size = 8;
	else if (mask & C_IPV4 ? protocol == 1 : protocol == 58)
		size = mask & C_IPV4 ? 8 : 4;
	else
		return mask;
	mask |= protocol == 6 ? C_TCP : protocol == 17 ? C_UDP : C_ICMP;
	if (start + size > stop)
		return mask | C_MALFORMED;
	if (elsewhere && load(skb, start, b + AT_TRANSPORT, 14, 15, end))
		return mask;
	ports = RAW32(AT_TRANSPORT);
	OPAQUE(ports);
	src_port = __builtin_bswap16((__u16)ports);
	dst_port = __builtin_bswap16((__u16)(ports >> 16));

	if (protocol == 6) {
		flags = U16(AT_TRANSPORT + 12);
		mask |= tcp_flags(flags) | either(src_port, dst_port, 53, C_DNS) |
			either(src_port, dst_port, 80, C_HTTP) |
			either(src_port, dst_port, 443, C_HTTPS);
		size = flags >> 10 & 0x3c;
		RAW32(AT_HEADERS) = start + size;
		return size < 20 || start + size > stop ? mask | C_MALFORMED : mask;
	}
	if (protocol == 17) {
		__u64 dhcp = mask & C_IPV4 ? 67 : 546;

		OPAQUE(dhcp);
		mask |= either(src_port, dst_port, 53, C_DNS) |
			either(src_port, dst_port, 5353, C_MDNS) |
			either(src_port, dst_port, 443, C_HTTPS) |
			either(src_port, dst_port, dhcp, C_DHCP) |
			either(src_port, dst_port, dhcp + 1, C_DHCP);
		RAW32(AT_HEADERS) = start + 8;
		length = U16(AT_TRANSPORT + 4);
		if (length && (length < 8 || (start + length > stop && !(mask & C_FRAGMENT))))
			mask |= C_MALFORMED;
		return mask;
	}
	type = ports & 0xff;
	if (mask & C_IPV4)
		return mask | when(equal(type, 8), C_ICMP_ECHO);
	later = equal((type - 133) >> 2, 0) & equal(U8(AT_NETWORK + 7), 255) &
		equal(mask & C_FRAGMENT, 0);
	return mask | when(later, NEIGHBOUR) | when(equal(type, 128), C_ICMP_ECHO) |
	       when(equal(type, 130) | equal(type, 131) | equal(type, 132) | equal(type, 143), C_IGMP);
}

/* Read a frame and say what it is; -1: it cannot be read, or has no addresses. */
INLINE int examine(struct __sk_buff *skb, __u8 *b, struct frame *f)
{
	__u64 length = skb->len;
	__u64 mask = skb->vlan_present ? C_PACKETS | C_VLAN : C_PACKETS, noise;

	f->mask = C_PACKETS | C_MALFORMED;
	f->src = f->dst = 0;
	if (length >= 54) {
		if (load_bytes(skb, 0, b + AT_DST_MAC, 54))
			return -1;
	} else if (length < 14 || load(skb, 0, b + AT_DST_MAC, 53, 63, length)) {
		return -1;
	}
	f->dst = *(__u16 *)(b + AT_DST_MAC) | (__u64)RAW32(AT_DST_MAC + 2) << 16;
	f->src = RAW32(AT_SRC_MAC) | (__u64) * (__u16 *)(b + AT_SRC_MAC + 4) << 32;
	if (f->dst & 1)
		mask |= f->dst == 0xffffffffffffULL ? C_BROADCAST : C_MULTICAST;
	f->mask = classify(skb, b, length, mask);
	noise = RAW64(AT_NETWORK);
	OPAQUE(noise);
	FORGET(f->mask, noise);
	return 0;
}
