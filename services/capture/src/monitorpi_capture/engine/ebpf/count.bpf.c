// SPDX-License-Identifier: MIT
/*
 * Counts the frames of one interface per MAC address and class, in the kernel.
 *
 * Theory of operation. A socket filter on a packet socket: it counts and returns 0, so no frame is
 * copied, but for the few that say who a device is. These the socket takes for the inventory, as far
 * as its small buffer has room: they were counted before. Where the kernel lets a program stand at
 * an interface's way in (tcx, Linux 6.6), there is no socket to pay for, and those few go into a
 * ring. It uses the context every kernel since 5.5 gives (struct __sk_buff) and plain helpers: no
 * kernel types, no headers at run time, no kernel BTF.
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
 * Here are the programs; classify.bpf.h says what a frame is, spread.bpf.h what a flood is aimed at,
 * rows.bpf.h who has a row, ring.bpf.h what the inventory gets and who is woken, verifier.bpf.h how the verifier is kept content. memory.py describes the
 * memory, and count.bpf.h is made from it.
 */
#include <linux/types.h>
#include <linux/bpf.h>

#include "verifier.bpf.h"
#include "count.bpf.h" /* the memory */
#include "classify.bpf.h"
#include "spread.bpf.h"
#include "ring.bpf.h"
#include "rows.bpf.h"

#define WHOLE 0x40000 /* more than any frame has */

/* Bytes of a frame that the socket takes: of what the inventory reads all, of anything else none. */
INLINE int handed_up(__u64 mask)
{
	return mask & DISCOVERY ? WHOLE : 0;
}

/* Count a frame; returns its classes, as far as it can be read. */
INLINE __u64 counted(struct __sk_buff *skb)
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
		return f.mask;
	}

	add_flood(share, f.mask, frames);

	number = find(c, share, part, f.src);
	if (!number)
		number = contend(c, share, part, f.src, f.mask);
	row = row_of(c, part, number);
	if (row) {
		tx = &row->tx;
		if (f.mask & (C_SYN | C_ICMP_ECHO))
			count_flood(c, share, row, part, b, &f);
	} else {
		tx = &share->overflow_tx;
		sketch(&share->overflown, first_sketch(c, part + 1) - 1, mixed(f.src, c->salt));
	}
	if (f.dst & 1) {
		add(tx, 0, f.mask, frames, bytes);
		return f.mask;
	}
	number = find(c, share, part, f.dst);
	if (!number)
		number = contend(c, share, part, f.dst, f.mask);
	row = row_of(c, part, number);
	rx = row ? &row->rx : &share->overflow_rx;
	add(tx, rx, f.mask, frames, bytes);
	return f.mask;
}

SEC("socket/count")
int count(struct __sk_buff *skb)
{
	return handed_up(counted(skb));
}

/* The same in front of all sockets, at an interface's way in. */
SEC("tcx/count")
int count_ingress(struct __sk_buff *skb)
{
	if (counted(skb) & DISCOVERY)
		hand_over(skb, control.cpus);
	return TO_THE_NEXT;
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
