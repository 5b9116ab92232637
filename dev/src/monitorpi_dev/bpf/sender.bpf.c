// SPDX-License-Identifier: MIT
/*
 * Sends frames at line rate from inside the kernel: run over one frame many times
 * (BPF_PROG_TEST_RUN with live frames), it gives each copy its addresses, waits until its time has
 * come, and passes it to the stack as if it had been received.
 *
 * Which frame comes when is fixed, so that the receiver's counts can be predicted: frame number n
 * comes from MAC 02:00:00:00:00:00 + n % macs (where macs is 0 a random one that no such number
 * reaches) and is of kind n / macs % kinds: SYN, ICMP echo request, DNS query, ACK.
 */
#include <linux/types.h>
#include <linux/bpf.h>

#define SEC(name) __attribute__((section(name), used))

static void *(*const map_lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static __u64 (*const ktime)(void) = (void *)BPF_FUNC_ktime_get_ns;
static __u32 (*const random32)(void) = (void *)BPF_FUNC_get_prandom_u32;

#define SPINS 8000 /* of four clock readings, 25 ns or more each: about a millisecond; the verifier
		       walks at most 8,192 jumps */
#define RANDOM 0x80000000U /* set in every random address: none is that of a numbered sender */
#define STALLED 20000000ULL /* ns behind time after which frames are not caught up */

struct state {
	__u64 sent;
	__u64 next;
	__u64 interval; /* ns, 0: as fast as it goes */
	__u32 macs;
	__u32 kinds;
	__u32 spread; /* source addresses */
	__u32 unused;
};

struct {
	int unused;
} state SEC("maps");

SEC("socket/send")
int send(struct xdp_md *context)
{
	__u8 *frame = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	__u32 zero = 0, mac, kind = 0, i;
	struct state *s = map_lookup(&state, &zero);
	__u64 number, now;

	if (!s || frame + 54 > end)
		return XDP_DROP;
	number = s->sent++;
	if (s->macs) {
		mac = number % s->macs;
		kind = s->kinds ? number / s->macs % s->kinds : 0;
	} else {
		mac = random32() | RANDOM;
	}
	if (s->interval) {
		now = ktime();
		if (now > s->next + STALLED)
			s->next = now;
		for (i = 0; i < SPINS; i++) {
			ktime();
			ktime();
			ktime();
			if (ktime() >= s->next)
				break;
		}
		s->next += s->interval;
	}
	frame[8] = mac >> 24;
	frame[9] = mac >> 16;
	frame[10] = mac >> 8;
	frame[11] = mac;
	if (s->spread) {
		__u32 source = number % s->spread;

		frame[27] = source >> 16;
		frame[28] = source >> 8;
		frame[29] = source;
	}
	frame[23] = kind == 1 ? 1 : kind == 2 ? 17 : 6;
	frame[34] = kind == 1 ? 8 : 0x80;
	frame[35] = kind == 1 ? 0 : (__u8)number;
	frame[36] = 0;
	frame[37] = kind == 2 ? 53 : 99;
	frame[38] = 0;
	frame[39] = kind == 2 ? 26 : 0;
	frame[47] = kind == 3 ? 0x10 : 0x02;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
