// SPDX-License-Identifier: MIT
/*
 * How many sources, targets and ports a flood has, and which it names most: sketches and votes, in
 * the blocks of those who send SYNs and echo requests.
 */

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

/* Add a SYN or an echo request to its sender's flood block, if there is one or one is left. */
INLINE void count_flood(struct control *c, struct share *share, struct row *row, __u64 part,
			const __u8 *b, const struct frame *f)
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
