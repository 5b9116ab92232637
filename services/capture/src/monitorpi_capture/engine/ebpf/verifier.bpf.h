// SPDX-License-Identifier: MIT
/* What the kernel offers, and arithmetic that its verifier walks once: without branches. */

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
