/* The frames between routers and shards: u32 length (little endian, of what follows), u8 type, fields. All of it, the
 * enum, the structs, the names, the encoders and the decoders, comes from wire.def. */
#ifndef COMMON_WIRE_H
#define COMMON_WIRE_H

#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/offset.h"
#include "common/slice.h"

#ifndef WIRE_VERSION /* tests build another version */
#define WIRE_VERSION 15
#endif

/* A frame longer than this is a broken peer. Above the largest limits.max_body with its marks. */
#define WIRE_FRAME_MAX ((size_t)256 << 20)

#define WIRE_HANDED_READER 1u
#define WIRE_HANDED_SSE 2u
#define WIRE_HANDED_CHUNKED 4u /* its events come in chunks */
#define WIRE_HANDED_HTTP10 8u
#define WIRE_HANDED_KEEP_ALIVE 16u
#define WIRE_HANDED_SHARED 32u       /* caches that many share may keep its answer */
#define WIRE_HANDED_CORS_ANY 64u     /* of its answer: router/conn/cors_headers.h */
#define WIRE_HANDED_CORS_ORIGIN 128u /* `origin` */
#define WIRE_HANDED_CORS_VARY 256u
#define WIRE_HANDED_CHECKED 512u /* its grant: as in router/auth/auth.h */
#define WIRE_HANDED_ANONYMOUS 1024u
#define WIRE_HANDED_PROJECT_PUBLIC 2048u
#define WIRE_HANDED_NOW 4096u      /* it was asked with offset=now, */
#define WIRE_HANDED_EARLIEST 8192u /* or with -1, */
#define WIRE_HANDED_SOUGHT 16384u  /* or with tail or since */

#define WIRE_CREATE_CLOSED 1u
#define WIRE_CREATE_TTL 2u
#define WIRE_CREATE_EXPIRES 4u
#define WIRE_CREATE_FORK 8u
#define WIRE_CREATE_FORK_POSITION 16u
#define WIRE_CREATE_PUBLIC 32u     /* everybody may read it */
#define WIRE_CREATE_FULL 64u       /* its project may have nothing more: QUOTA_EXCEEDED unless it is there already */
#define WIRE_CREATE_RETENTION 128u /* its retention was asked for, and is not its project's: it must match */

#define WIRE_APPEND_CLOSE 1u
#define WIRE_APPEND_STREAM_SEQ 2u
#define WIRE_APPEND_PRODUCER 4u
#define WIRE_APPEND_BODY 8u   /* `data` is the body as it came, and `count` its bytes */
#define WIRE_APPEND_VALUE 16u /* it is a JSON value: a body for JSON, the text that it spells for bytes */

/* The conditions of a request; the shard looks in the turn in which it acts (shard/streams/condition.h). Without a flag
 * it depends on nothing, and a frame has only the flags of it. */
struct wire_condition {
    uint8_t flags;        /* WIRE_IF_* */
    uint64_t life;        /* of Stream-Incarnation */
    struct offset offset; /* of If-Match or Stream-Expected-Offset; WIRE_IF_NOWHERE as its position: no stream's */
};

#define WIRE_IF_LIFE 1u      /* Stream-Incarnation: the stream's newest life is this one */
#define WIRE_IF_TAIL 2u      /* If-Match: the tail is `offset` */
#define WIRE_IF_EXPECTED 4u  /* Stream-Expected-Offset: the same, and CONFLICT instead of PRECONDITION_FAILED */
#define WIRE_IF_READ 8u      /* with TAIL: the tag is of a read, so the offset's life is the stream's newest */
#define WIRE_IF_UNSUITED 16u /* with TAIL: the value is "*" or a list, which no append may have */
#define WIRE_IF_THERE 32u    /* If-Match: *, the stream exists */
#define WIRE_IF_ABSENT 64u   /* If-None-Match: *, it does not */
#define WIRE_IF_NOWHERE UINT64_MAX

#define WIRE_READ_NOW 1u        /* from the tail; `position` is not looked at */
#define WIRE_READ_EARLIEST 32u  /* from the first that is there; the same */
#define WIRE_READ_WAIT 2u       /* long-poll: watch only if there is nothing to answer with */
#define WIRE_READ_FILE 8u       /* a large page may come as a descriptor */
#define WIRE_READ_ANONYMOUS 16u /* also of HEAD: nobody has said who asks, UNAUTHORIZED unless the stream is public */
#define WIRE_READ_CUT 4u        /* SSE: a byte stream's large message may be cut at max_bytes */

/* Where a READ begins, and, for BEFORE, ends. */
enum wire_from {
    WIRE_FROM_OFFSET, /* at `position`, or where the flags say */
    WIRE_FROM_TAIL,   /* `amount` messages before the tail, or at the first that is there */
    WIRE_FROM_BEFORE, /* the answer is the `amount` messages before `position`, or as many of the newest as fit */
    WIRE_FROM_SINCE   /* at the first message of `amount` or later, in Unix milliseconds; the tail if there is none */
};

#define WIRE_SEEK_TAKEN 1u
#define WIRE_SEEK_DONE 2u

#define WIRE_APPENDED_CLOSED 1u
#define WIRE_APPENDED_DUPLICATE 2u
#define WIRE_APPENDED_NO_STREAM 4u /* there is none, and the answer says nothing of one */

#define WIRE_BATCHED_TAKEN 1u

#define WIRE_STREAM_CREATED 1u
#define WIRE_STREAM_CLOSED 2u /* the stream is closed; EOF where next == tail */
#define WIRE_STREAM_TTL 4u
#define WIRE_STREAM_EXPIRES 8u
#define WIRE_STREAM_WATCHING 16u
#define WIRE_STREAM_PUBLIC 64u
#define WIRE_STREAM_FILE 32u  /* it brings a descriptor: file_bytes there from file_at on are data, which is empty */
#define WIRE_STREAM_COLD 128u /* these very bytes are what will be read there as long as there is the stream */

#define WIRE_STREAM_JSON 1024u     /* it holds JSON messages: data has a comma behind each, and positions count them */
#define WIRE_STREAM_RESTORED 2048u /* its newest life began with a restore */

#define WIRE_LISTED_ESTUARY 256u /* of what is listed, besides those of STREAM: it is, or was, subscribed to others */
#define WIRE_LISTED_FORK 512u
#define WIRE_LISTED_MORE 1u /* of LISTED */
#define WIRE_SHOWN_MAX 10000u

#define WIRE_FANOUT_NONE 0u   /* nobody is subscribed */
#define WIRE_FANOUT_INLINE 1u /* the answer waited for the subscribers */
#define WIRE_FANOUT_QUEUED 2u
#define WIRE_FANOUT_CIRCUIT_OPEN 3u

#define WIRE_SUBSCRIBE_END 1u
#define WIRE_SUBSCRIBE_ENVELOPE 2u
#define WIRE_SUBSCRIBE_FULL 4u /* its project may have no more streams: QUOTA_EXCEEDED unless the estuary is there */

#define WIRE_ESTUARY_LOOK 0u
#define WIRE_ESTUARY_TOUCH 1u
#define WIRE_ESTUARY_DELETE 2u
#define WIRE_ESTUARY_DELETE_OWNED 3u /* FORBIDDEN if it was a stream before it was subscribed */
#define WIRE_ESTUARY_NEW 1u

#define WIRE_ATTACH_LEAVES 1u

#define WIRE_FEED_ACK_AGAIN 1u
#define WIRE_FEED_ACK_UNWANTED 2u
#define WIRE_FEED_ACK_SURE 4u

#define WIRE_EVENT_CLOSED 1u
#define WIRE_EVENT_DELETED 2u
#define WIRE_EVENT_MOVED 4u

enum wire_type {
    WIRE_INVALID,
#define MESSAGE(NAME, name, direction, answer, room, fields) WIRE_##NAME,
#include "common/wire.def"
#undef MESSAGE
    WIRE_TYPE_COUNT
};

#define U8(field) uint8_t field;
#define U32(field) uint32_t field;
#define U64(field) uint64_t field;
#define STR(field) struct slice field;
#define IF(field) struct wire_condition field;
#define MESSAGE(NAME, name, direction, answer, room, fields)                                                           \
    struct wire_##name {                                                                                               \
        fields                                                                                                         \
    };
#include "common/wire.def"
#undef MESSAGE
#undef U8
#undef U32
#undef U64
#undef STR
#undef IF

/* "APPEND"; "?" for a type there is none of. */
const char *wire_name(enum wire_type type);

enum wire_direction {
    WIRE_NOWHERE, /* there is no such type */
    WIRE_ROUTER_TO_SHARD,
    WIRE_ANSWER_TO_ROUTER,
    WIRE_SHARD_TO_ROUTER,
    WIRE_SHARD_TO_SHARD,
    WIRE_ROUTER_TO_ROUTER,
    WIRE_INSIDE /* it is a row in another message */
};

/* The columns of wire.def. WIRE_INVALID: nothing answers it. */
enum wire_direction wire_direction(enum wire_type type);
enum wire_type wire_answer(enum wire_type type);
bool wire_waits_for_room(enum wire_type type);

/* wire_put_append(out, &m) adds one whole frame to out. wire_get_append(body, &m) reads a frame's fields; true only if
 * every field fits and nothing is left. Its slices point into body. */
#define MESSAGE(NAME, name, direction, answer, room, fields)                                                           \
    void wire_put_##name(struct buf *out, const struct wire_##name *m);                                                \
    bool wire_get_##name(struct slice body, struct wire_##name *m) MUSTUSE;
#include "common/wire.def"
#undef MESSAGE

enum wire_peek { WIRE_PEEK_MORE, WIRE_PEEK_FRAME, WIRE_PEEK_BAD };

/* Looks for one whole frame at the start of in. FRAME: type and body are set and *size is the frame's length with its
 * header. MORE: *size is the length needed, or 0 if not yet known. */
enum wire_peek wire_peek(struct slice in, enum wire_type *type, struct slice *body, size_t *size) MUSTUSE;

/* Takes a frame of this type off the front. False: there is none, and nothing is taken. */
bool wire_take(struct slice *in, enum wire_type type, struct slice *body) MUSTUSE;

#endif
