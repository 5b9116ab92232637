// SPDX-License-Identifier: MIT
/*
 * The memory count.bpf.c and Python share. Generated from memory.py by ./monitorpi generate; do not
 * edit. Include it behind <linux/types.h> and a definition of SEC().
 */

/* Both sides mean the same bytes, or this does not compile. */
#define PROVE(statement) _Static_assert(statement, "not where Python reads it")

#define CELLS 8 /* of a bucket, each MAC << 16 | row number */
#define PROMOTE 16 /* votes ahead from which a MAC has a row */
#define PROMOTED 0x8000 /* in a contender's cell: the number of its row follows */
#define PINNED 1 /* who has a row: one that had it before the window began ... */
#define CONTENDER 2 /* ... or that was promoted, now or in the windows before */
#define SKETCH_WORDS 64 /* 1,024 registers of 4 bits: standard error 3.3 % */
#define COMMON_WORDS 5 /* those that almost every frame counts in */
#define WORDS 12 /* of a side, two counters each */
#define SMALL_FRAME 0x100 /* room in the ring for a frame of ARP and its like */
#define LARGE_FRAME 0x800 /* ... and for any other */
#define NO_TAG 0x10000 /* beyond any control information */
#define NEVER 0xffffffff /* more SYNs than any window has: the bell is rung no more */
enum { SRC_IPS, DST_IPS, DST_PORTS, SKETCHES };

#define C_PACKETS (1ULL << 0)
#define C_IPV4 (1ULL << 32)
#define C_IPV6 (1ULL << 1)
#define C_TCP (1ULL << 33)
#define C_UDP (1ULL << 2)
#define C_SYN (1ULL << 34)
#define C_HTTPS (1ULL << 3)
#define C_HTTP (1ULL << 35)
#define C_ICMP (1ULL << 4)
#define C_ICMP_ECHO (1ULL << 36)
#define C_BROADCAST (1ULL << 5)
#define C_MULTICAST (1ULL << 37)
#define C_ARP (1ULL << 6)
#define C_IGMP (1ULL << 38)
#define C_DHCP (1ULL << 7)
#define C_DNS (1ULL << 39)
#define C_FIN (1ULL << 8)
#define C_SYN_ACK (1ULL << 40)
#define C_MDNS (1ULL << 9)
#define C_VLAN (1ULL << 41)
#define C_RST (1ULL << 10)
#define C_FRAGMENT (1ULL << 42)
#define C_MALFORMED (1ULL << 11)
/* What floods are made of: a MAC without a row contends for one with these. */
#define C_FLOODS \
	(C_SYN | C_ICMP | C_BROADCAST | C_MULTICAST | C_ARP | C_IGMP | C_DHCP | C_DNS | \
	 C_FIN | C_SYN_ACK | C_MDNS | C_RST | C_FRAGMENT | C_MALFORMED)

/* Where what lies in the maps of all interfaces, and which epoch is live. */
struct control {
	__u32 epoch;
	__u32 cpus; /* parts of an epoch */
	__u32 rows; /* per part, the reserved ones too: at most 65,535 */
	__u32 buckets; /* per part, a power of two */
	__u32 floods; /* per part; as many as rows are reserved are for contenders */
	__u32 unknown_floods; /* of these, for MACs whose rows are not pinned */
	__u32 shift; /* 64 - log2(buckets) */
	__u32 open; /* of the rows, those that whoever comes first may take */
	__u64 factor; /* secret, odd */
	__u64 salt; /* secret */
};
PROVE(__builtin_offsetof(struct control, epoch) == 0);
PROVE(__builtin_offsetof(struct control, cpus) == 4);
PROVE(__builtin_offsetof(struct control, rows) == 8);
PROVE(__builtin_offsetof(struct control, buckets) == 12);
PROVE(__builtin_offsetof(struct control, floods) == 16);
PROVE(__builtin_offsetof(struct control, unknown_floods) == 20);
PROVE(__builtin_offsetof(struct control, shift) == 24);
PROVE(__builtin_offsetof(struct control, open) == 28);
PROVE(__builtin_offsetof(struct control, factor) == 32);
PROVE(__builtin_offsetof(struct control, salt) == 40);
PROVE(sizeof(struct control) == 48);

/* What one MAC sent, or was sent. */
struct side {
	__u64 bytes;
	__u64 words[WORDS];
};
PROVE(__builtin_offsetof(struct side, bytes) == 0);
PROVE(__builtin_offsetof(struct side, words) == 8);
PROVE(sizeof(struct side) == 104);

/*
 * One MAC. An odd number of cache lines, though four would hold it: at steps of four the lines
 * every frame counts in would share a quarter of the cache's sets.
 */
struct row {
	__u8 mac[6];
	__u16 kind; /* 0, PINNED or CONTENDER */
	__u32 flood; /* number of the flood block + 1, 0: none */
	__u32 unused;
	struct side tx; /* with the head: two cache lines */
	__u64 gap;
	struct side rx;
	__u64 tail[11];
};
PROVE(__builtin_offsetof(struct row, mac) == 0);
PROVE(__builtin_offsetof(struct row, kind) == 6);
PROVE(__builtin_offsetof(struct row, flood) == 8);
PROVE(__builtin_offsetof(struct row, unused) == 12);
PROVE(__builtin_offsetof(struct row, tx) == 16);
PROVE(__builtin_offsetof(struct row, gap) == 120);
PROVE(__builtin_offsetof(struct row, rx) == 128);
PROVE(__builtin_offsetof(struct row, tail) == 232);
PROVE(sizeof(struct row) == 320);

/* One cache line in which a MAC is found. */
struct bucket {
	__u64 cells[CELLS];
};
PROVE(__builtin_offsetof(struct bucket, cells) == 0);
PROVE(sizeof(struct bucket) == 64);

/*
 * How full one is. Its registers lie in a map of their own: a computed place in a value would
 * be a pointer whose every path the verifier walks apart for those without CAP_PERFMON; an
 * index is just a number.
 */
struct sketch {
	__u32 filled; /* registers that are not 0 */
	__u32 gone; /* sum over the registers of 2^15 - 2^(15 - register) */
};
PROVE(__builtin_offsetof(struct sketch, filled) == 0);
PROVE(__builtin_offsetof(struct sketch, gone) == 4);
PROVE(sizeof(struct sketch) == 8);

/* The destination that most frames of a class went to, by majority vote. */
struct vote {
	__u64 who; /* MAC | IP version << 48; 0: nobody */
	__u64 ip[2];
	__u32 score;
	__u32 hits;
	__u32 port;
	__u32 port_score;
};
PROVE(__builtin_offsetof(struct vote, who) == 0);
PROVE(__builtin_offsetof(struct vote, ip) == 8);
PROVE(__builtin_offsetof(struct vote, score) == 24);
PROVE(__builtin_offsetof(struct vote, hits) == 28);
PROVE(__builtin_offsetof(struct vote, port) == 32);
PROVE(__builtin_offsetof(struct vote, port_score) == 36);
PROVE(sizeof(struct vote) == 40);

/* Where one MAC's SYNs and echo requests went. */
struct flood {
	struct vote syn;
	struct vote echo;
	__u64 last_source[2];
	struct sketch sketches[SKETCHES];
	__u64 tail;
};
PROVE(__builtin_offsetof(struct flood, syn) == 0);
PROVE(__builtin_offsetof(struct flood, echo) == 40);
PROVE(__builtin_offsetof(struct flood, last_source) == 80);
PROVE(__builtin_offsetof(struct flood, sketches) == 96);
PROVE(__builtin_offsetof(struct flood, tail) == 120);
PROVE(sizeof(struct flood) == 128);

/* What a CPU keeps beside its rows. */
struct share {
	__u32 rows; /* taken so far of the open ones */
	__u32 floods;
	__u32 unknown_floods;
	__u32 promoted; /* reserved rows taken so far */
	__u64 draw; /* where MACs contend, anew in each window: see contend() */
	struct side overflow_tx;
	struct side overflow_rx;
	struct side unlinked;
	struct sketch overflown; /* sources that found no row */
	__u64 flood_sums[2]; /* of all rows: SYNs and SYN-ACKs, echo requests */
	__u32 rings_at; /* SYNs and echo requests from which the bell is rung, or NEVER */
	__u32 more;
};
PROVE(__builtin_offsetof(struct share, rows) == 0);
PROVE(__builtin_offsetof(struct share, floods) == 4);
PROVE(__builtin_offsetof(struct share, unknown_floods) == 8);
PROVE(__builtin_offsetof(struct share, promoted) == 12);
PROVE(__builtin_offsetof(struct share, draw) == 16);
PROVE(__builtin_offsetof(struct share, overflow_tx) == 24);
PROVE(__builtin_offsetof(struct share, overflow_rx) == 128);
PROVE(__builtin_offsetof(struct share, unlinked) == 232);
PROVE(__builtin_offsetof(struct share, overflown) == 336);
PROVE(__builtin_offsetof(struct share, flood_sums) == 344);
PROVE(__builtin_offsetof(struct share, rings_at) == 360);
PROVE(__builtin_offsetof(struct share, more) == 364);
PROVE(sizeof(struct share) == 368);

/* What lies in front of a frame in the ring. */
struct caught {
	__u32 length; /* of the frame, of which all is here that finds room */
	__u32 tag; /* the control information of the tag that was taken out, or NO_TAG */
};
PROVE(__builtin_offsetof(struct caught, length) == 0);
PROVE(__builtin_offsetof(struct caught, tag) == 4);
PROVE(sizeof(struct caught) == 8);

/* One entry, reached without a look-up: the loader puts its address into the code. */
struct control control SEC("variables");

/* Types and sizes of the others are given when they are made. */
#define MAP(name) \
	struct { \
		int unused; \
	} name SEC("maps")
MAP(buckets);
MAP(contenders); /* MAC << 16 | votes ahead, or PROMOTED | row; as many as buckets have cells */
MAP(rows); /* the open ones, then the reserved ones */
MAP(floods);
MAP(registers); /* of the sketches of the flood blocks, then of the share's */
MAP(shares);
MAP(bell); /* rung where a flood may begin; what lies in it means nothing */
MAP(ring); /* frames for the inventory, each behind a struct caught */
MAP(missed); /* frames that found no room in it, by CPU */
