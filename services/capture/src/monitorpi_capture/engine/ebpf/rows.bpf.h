// SPDX-License-Identifier: MIT
/* Who has a row, who contends for one, and what is added to it. */

#define BOTH_HALVES 0x0000000100000001ULL
#define COMMON (((1ULL << COMMON_WORDS) - 1) * BOTH_HALVES)

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

/* Add the frames to what floods are made of and what answers it, whoever sent them: without a branch. */
INLINE void add_flood(struct share *share, __u64 mask, __u64 frames)
{
	share->flood_sums[0] += frames * ((mask / C_SYN & 1) | (mask / C_SYN_ACK & 1) << 32);
	share->flood_sums[1] += frames * (mask / C_ICMP_ECHO & 1);
	if ((__u64)(__u32)share->flood_sums[0] + (__u32)share->flood_sums[1] >= share->rings_at)
		ring_bell(share);
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
