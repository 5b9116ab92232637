// SPDX-License-Identifier: MIT
/*
 * Counts the frames of one interface per MAC address and class, in the kernel.
 *
 * Theory of operation. A socket filter on a packet socket: it counts and returns 0, so no frame is
 * ever copied. It uses the context every kernel since 5.5 gives (struct __sk_buff) and three plain
 * helpers: no kernel types, no headers at run time, no kernel BTF.
 *
 * All memory is in array maps, laid out as [epoch 0..1][CPU][...], of which user space maps what it
 * reads. A CPU writes only its own part of the live epoch, so there are no atomics and no
 * locks: a filter runs to its end on one CPU. User space flips the epoch, waits until no program
 * still runs with the old one (an RCU grace period), and has a part nobody writes to.
 *
 * A MAC is found in a bucket of eight cells, one cache line; a cell is MAC << 16 | row number. The
 * bucket comes from a hash with a secret random factor, so nobody outside can aim at one bucket; if
 * it is full, its neighbour is asked. When neither has room, or all open rows are
 * taken, the frame counts in the CPU's overflow. A full table costs no more than an empty one: the
 * kernel's own hash maps take locks and walk free lists of every CPU just then.
 *
 * Nobody hides behind a full table. Some rows are not open to whoever comes first: a MAC without a
 * row contends for one of these in a cell its hash says, by majority vote (Boyer and Moore 1981) of
 * the frames that floods are made of. Whoever is PROMOTE ahead of all others in the cell has a row
 * for the rest of the window; a flood of addresses that send a frame each outvotes nobody. What
 * contends costs only the frames that would have counted in the overflow.
 *
 * The classes of a frame are a 64-bit mask, bit w or 32 + w for word w of a side. A side keeps two
 * 32-bit counters per word, so one add counts two classes, without a branch. (Branches would make
 * the verifier walk every combination of classes apart.) Sketches are touched only by SYNs and
 * echo requests.
 *
 * The rules of classification are those of docs/counting.md; memory.py describes this memory, and
 * count.bpf.h is made from it.
 */
#include <linux/types.h>
#include <linux/bpf.h>

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
/* The compiler must not see through this value: it would turn arithmetic into branches. */
#define OPAQUE(x) asm volatile("" : "+r"(x))

/*
 * The verifier must forget what it knows of this value, or it walks all that follows once for each
 * value it may have. It does not see that taking the same noise in and out changes nothing.
 */
#define FORGET(x, noise) \
	do { \
		(x) ^= (noise); \
		OPAQUE(x); \
		(x) ^= (noise); \
	} while (0)

static void *(*const map_lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static __u32 (*const this_cpu)(void) = (void *)BPF_FUNC_get_smp_processor_id;
static long (*const load_bytes)(const void *skb, __u32 offset, void *to,
				__u32 length) = (void *)BPF_FUNC_skb_load_bytes;

/* --- memory ------------------------------------------------------------------------------------ */

#include "count.bpf.h"

#define BOTH_HALVES 0x0000000100000001ULL
#define COMMON (((1ULL << COMMON_WORDS) - 1) * BOTH_HALVES)

/* --- arithmetic without branches ---------------------------------------------------------------- */

/* Bit 63 tells whether a value of at most 63 bits is 0. */
INLINE __u64 none(__u64 value)
{
	OPAQUE(value);
	return value - 1;
}

/* 1 if both are the same, else 0; both of at most 63 bits. */
INLINE __u64 equal(__u64 a, __u64 b)
{
	return none(a ^ b) >> 63;
}

/* The class where the condition (0 or 1) holds: one shift. */
INLINE __u64 when(__u64 condition, __u64 class)
{
	OPAQUE(condition);
	return condition * class;
}

/* --- classification ------------------------------------------------------------------------------ */

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
	return mask | when(equal(type, 128), C_ICMP_ECHO) |
	       when(equal(type, 130) | equal(type, 131) | equal(type, 132) | equal(type, 143), C_IGMP);
}

/* --- sketches and votes --------------------------------------------------------------------------- */

INLINE __u64 mixed(__u64 item, __u64 salt)
{
	item ^= salt;
	item ^= item >> 33;
	item *= 0xff51afd7ed558ccdULL;
	item ^= item >> 33;
	item *= 0xc4ceb9fe1a85ec53ULL;
	return item ^ item >> 33;
}

/* Add an item to a HyperLogLog of 1,024 registers (Flajolet et al. 2007). */
INLINE void sketch(struct sketch *s, __u64 number, __u64 hash)
{
	__u64 slot = hash >> 54, at = (slot & 15) * 4, rank = 1, word, old, bits = hash | 1 << 14;
	__u32 index = number * SKETCH_WORDS + (slot >> 4);
	__u64 *place = map_lookup(&registers, &index);

	if (!place)
		return;
	word = *place;
	old = word >> at & 15;

	if (old == 15 || hash & ((1ULL << old) - 1))
		return; /* the register stands as high already */
	if (!(bits & 0xff)) {
		rank += 8;
		bits >>= 8;
	}
	if (!(bits & 0xf)) {
		rank += 4;
		bits >>= 4;
	}
	if (!(bits & 3)) {
		rank += 2;
		bits >>= 2;
	}
	if (!(bits & 1))
		rank += 1;
	*place = (word & ~(15ULL << at)) | rank << at;
	s->filled += equal(old, 0);
	s->gone += (1ULL << (15 - old)) - (1ULL << (15 - rank));
}

/* Majority vote (Boyer and Moore 1981). Tells whether the peer was the candidate already. */
INLINE int vote(struct vote *v, __u64 who, __u64 ip0, __u64 ip1, __u32 port)
{
	if (v->who == who && v->ip[0] == ip0 && v->ip[1] == ip1) {
		v->score++;
		v->hits++;
		if (v->port == port) {
			v->port_score++;
			return 1;
		}
		if (v->port_score) {
			v->port_score--;
		} else {
			v->port = port;
			v->port_score = 1;
		}
	} else if (v->score) {
		v->score--;
	} else {
		v->who = who;
		v->ip[0] = ip0;
		v->ip[1] = ip1;
		v->port = port;
		v->score = v->hits = v->port_score = 1;
	}
	return 0;
}

/* The number of the first sketch of a part: those of its flood blocks, then one of the share's. */
INLINE __u64 first_sketch(struct control *c, __u64 part)
{
	return part * (c->floods * SKETCHES + 1);
}

INLINE void aim(struct control *c, struct share *share, struct row *row, __u64 part, __u8 *b,
		struct frame *f)
{
	__u64 src0 = 0, src1, dst0 = 0, dst1, who = f->dst, salt = c->salt, number, port;
	struct flood *flood;
	struct sketch *s;
	__u32 index = row->flood, kind = row->kind;

	if (!index) {
		if (share->floods >= c->floods - (kind == CONTENDER ? 0 : c->rows - c->open))
			return;
		if (!kind) {
			if (share->unknown_floods >= c->unknown_floods)
				return;
			share->unknown_floods++;
		}
		index = ++share->floods;
		row->flood = index;
	}
	number = first_sketch(c, part) + (index - 1) * SKETCHES;
	index += part * c->floods - 1;
	flood = map_lookup(&floods, &index);
	if (!flood)
		return;
	s = flood->sketches;

	if (f->mask & C_IPV4) {
		src1 = RAW32(AT_NETWORK + 12);
		dst1 = RAW32(AT_NETWORK + 16);
		who |= 4ULL << 48;
	} else {
		src0 = RAW64(AT_NETWORK + 8);
		src1 = RAW64(AT_SAVED);
		dst0 = RAW64(AT_SAVED + 8);
		dst1 = RAW64(AT_SAVED + 16);
		who |= 6ULL << 48;
	}
	/* most floods have one source, or one target, or both: those are in the sketches already */
	if (flood->last_source[0] != src0 || flood->last_source[1] != src1 || !s[SRC_IPS].filled) {
		flood->last_source[0] = src0;
		flood->last_source[1] = src1;
		sketch(&s[SRC_IPS], number + SRC_IPS, mixed(mixed(src0, salt) + src1, salt));
	}
	if (f->mask & C_SYN) {
		port = U16(AT_TRANSPORT + 2);
		if (vote(&flood->syn, who, dst0, dst1, port))
			return;
		sketch(&s[DST_PORTS], number + DST_PORTS, mixed(port, salt));
	} else if (vote(&flood->echo, who, dst0, dst1, 0)) {
		return;
	}
	sketch(&s[DST_IPS], number + DST_IPS, mixed(mixed(dst0, salt) + dst1, salt));
}

/* --- rows ------------------------------------------------------------------------------------------- */

/* Add the frames to one side, or to that of their source and that of their destination. */
INLINE void add(struct side *tx, struct side *rx, __u64 mask, __u64 frames, __u64 bytes)
{
	__u64 amount;
	int i;

	tx->bytes += bytes;
	if (rx)
		rx->bytes += bytes;
#pragma unroll
	for (i = 0; i < COMMON_WORDS; i++) {
		amount = frames * (mask >> i & BOTH_HALVES);
		OPAQUE(amount);
		tx->words[i] += amount;
		if (rx)
			rx->words[i] += amount;
	}
	if (mask & ~COMMON) {
#pragma unroll
		for (i = COMMON_WORDS; i < WORDS; i++) {
			amount = frames * (mask >> i & BOTH_HALVES);
			OPAQUE(amount);
			tx->words[i] += amount;
			if (rx)
				rx->words[i] += amount;
		}
	}
}

/* The row number + 1 of a MAC; 0 if there is no room for it. */
INLINE __u64 find(struct control *c, struct share *share, __u64 part, __u64 mac)
{
	__u64 mixed = mac * c->factor, home, cell, number, *hole;
	__u32 index;
	int i, side;
	struct bucket *bucket;
	struct row *row;

	/* twice: after one multiplication numbered devices still lie in steps, many in few buckets */
	mixed ^= mixed >> 32;
	home = mixed * c->factor >> (c->shift & 63);

#pragma unroll
	for (side = 0; side < 2; side++) {
		index = part * c->buckets + (home ^ side);
		bucket = map_lookup(&buckets, &index);
		if (!bucket)
			return 0;
#pragma unroll
		for (i = 0; i < CELLS; i++) {
			hole = &bucket->cells[i];
			cell = *hole;
			if (!cell)
				goto insert;
			if (cell >> 16 == mac)
				return cell & 0xffff;
		}
	}
	return 0;
insert:
	if (share->rows >= c->open)
		return 0;
	number = share->rows++;
	index = part * c->rows + number;
	row = map_lookup(&rows, &index);
	if (!row)
		return 0;
	*(__u64 *)row = mac;
	number = (number + 1) & 0xffff;
	*hole = mac << 16 | number;
	return number;
}

/*
 * The row number + 1 of a MAC that find() had no room for; 0 if it is not worth one (yet). Where its
 * cell was won by another MAC it contends in the one beside it, in the same cache line. Where both
 * were it contends in vain, but with each window's draw in others.
 */
INLINE __u64 contend(struct control *c, struct share *share, __u64 part, __u64 mac, __u64 mask)
{
	__u64 mixed = (mac ^ share->draw) * c->factor, cell, level, *place;
	__u32 index;
	int side;
	struct row *row;

	mixed ^= mixed >> 32;
	mixed = mixed * c->factor >> (c->shift - 3 & 63); /* 3: log2(CELLS) */
#pragma unroll
	for (side = 0; side < 2; side++) {
		index = part * c->buckets * CELLS + (mixed ^ side);
		place = map_lookup(&contenders, &index);
		if (!place)
			return 0;
		cell = *place;
		level = cell & 0xffff;
		if (!(level & PROMOTED))
			goto contest;
		if (cell >> 16 == mac)
			return c->open + (level & (PROMOTED - 1)) + 1;
	}
	return 0;
contest:
	if (!(mask & C_FLOODS))
		return 0;
	if (!level) {
		*place = mac << 16 | 1;
		return 0;
	}
	if (cell >> 16 != mac) {
		*place = cell - 1;
		return 0;
	}
	if (level < PROMOTED - 1)
		*place = cell + 1;
	if (level < PROMOTE || share->promoted >= c->rows - c->open)
		return 0;
	level = share->promoted++;
	index = part * c->rows + c->open + level;
	row = map_lookup(&rows, &index);
	if (!row)
		return 0;
	*(__u64 *)row = mac | (__u64)CONTENDER << 48;
	*place = mac << 16 | PROMOTED | level;
	return c->open + level + 1;
}

/*
 * The row of such a number. 0 is asked for beyond the map: a pointer known to be 0 would be walked
 * on as if it were none, which older verifiers forbid those without CAP_PERFMON.
 */
INLINE struct row *row_of(struct control *c, __u64 part, __u64 number)
{
	__u32 index = number ? part * c->rows + number - 1 : ~0U;

	return map_lookup(&rows, &index);
}

/* --- programs ----------------------------------------------------------------------------------------- */

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

SEC("socket/count")
int count(struct __sk_buff *skb)
{
	__u8 buffer[BUFFER] __attribute__((aligned(8))) = {}, *b = buffer;
	struct control *c = &control;
	struct share *share;
	struct row *row;
	struct side *tx, *rx;
	struct frame f;
	__u32 index;
	__u64 part, frames, bytes, number;
	int known;

	part = this_cpu();
	if (part >= c->cpus)
		part = c->cpus - 1; /* came up after us: shared with the last, see memory.py */
	part += (__u64) * (volatile __u32 *)&c->epoch * c->cpus;
	index = part;
	share = map_lookup(&shares, &index);
	if (!share)
		return 0;
	known = examine(skb, b, &f);

	/* As on the wire: each merged segment had headers of its own, a tag taken out is not in len. */
	frames = skb->gso_segs;
	bytes = skb->len;
	if (frames > 1) {
		bytes += (frames - 1) * RAW32(AT_HEADERS);
	} else {
		frames = 1;
	}
	if (skb->vlan_present)
		bytes += 4 * frames;
	OPAQUE(bytes);
	if (known < 0) {
		add(&share->unlinked, 0, f.mask, frames, bytes);
		return 0;
	}

	number = find(c, share, part, f.src);
	if (!number)
		number = contend(c, share, part, f.src, f.mask);
	row = row_of(c, part, number);
	if (row) {
		tx = &row->tx;
		if (f.mask & (C_SYN | C_ICMP_ECHO))
			aim(c, share, row, part, b, &f);
	} else {
		tx = &share->overflow_tx;
		sketch(&share->overflown, first_sketch(c, part + 1) - 1, mixed(f.src, c->salt));
	}
	if (f.dst & 1) {
		add(tx, 0, f.mask, frames, bytes);
		return 0;
	}
	number = find(c, share, part, f.dst);
	if (!number)
		number = contend(c, share, part, f.dst, f.mask);
	row = row_of(c, part, number);
	rx = row ? &row->rx : &share->overflow_rx;
	add(tx, rx, f.mask, frames, bytes);
	return 0;
}

/* For the tests: the classes of one frame as the return value. */
SEC("socket/classify")
int classes(struct __sk_buff *skb)
{
	__u8 buffer[BUFFER] __attribute__((aligned(8))) = {};
	struct frame f;

	examine(skb, buffer, &f);
	return (__u32)f.mask | (__u32)(f.mask >> 32) << WORDS;
}

/* For the benchmark: what any filter costs. */
SEC("socket/empty")
int empty(struct __sk_buff *skb __attribute__((unused)))
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
