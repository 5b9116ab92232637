// SPDX-License-Identifier: MIT
/*
 * Frames for the inventory where no socket takes them: copied into a ring, as far as it has room.
 * And the bell: an empty ring that wakes who waits beside it.
 */

#define TO_THE_NEXT -1 /* TCX_NEXT: whoever else stands there, then the stack */
#define UNNOTICED 1 /* BPF_RB_NO_WAKEUP: the reader comes by itself */

#define AT_ONCE 2 /* BPF_RB_FORCE_WAKEUP */

static long (*const output)(void *ring, const void *data, __u64 size,
			    __u64 flags) = (void *)BPF_FUNC_ringbuf_output;
static void *(*const reserve)(void *ring, __u64 size, __u64 flags) = (void *)
	BPF_FUNC_ringbuf_reserve;
static void (*const submit)(void *record, __u64 flags) = (void *)BPF_FUNC_ringbuf_submit;
static void (*const discard)(void *record, __u64 flags) = (void *)BPF_FUNC_ringbuf_discard;

/* Room behind the record is one more than `most`, all ones. */
INLINE void fill(struct __sk_buff *skb, struct caught *record, __u64 length, __u64 most)
{
	record->length = length;
	record->tag = skb->vlan_present ? (__u16)skb->vlan_tci : NO_TAG;
	if (load(skb, 0, (__u8 *)(record + 1), most, most, length))
		discard(record, UNNOTICED);
	else
		submit(record, UNNOTICED);
}

INLINE void hand_over(struct __sk_buff *skb, __u64 cpus)
{
	__u64 length = skb->len;
	struct caught *record;
	__u64 *count;
	__u32 index;

	if (length < SMALL_FRAME) {
		record = reserve(&ring, sizeof(*record) + SMALL_FRAME, 0);
		if (record) {
			fill(skb, record, length, SMALL_FRAME - 1);
			return;
		}
	} else {
		record = reserve(&ring, sizeof(*record) + LARGE_FRAME, 0);
		if (record) {
			fill(skb, record, length, LARGE_FRAME - 1);
			return;
		}
	}
	index = this_cpu();
	if (index >= cpus)
		index = cpus - 1;
	count = map_lookup(&missed, &index);
	if (count)
		*count += 1;
}

/* Wake who looks for floods: once, until it says from when on again. */
INLINE void ring_bell(struct share *share)
{
	share->rings_at = NEVER;
	output(&bell, &share->draw, sizeof(share->draw), AT_ONCE);
}
