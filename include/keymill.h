/*
 * The C interface of keymill: keys for hash-based signatures that are bigger than memory. See docs/C.md.
 *
 * Made from src/capi by `tools/capi --header`; change it there.
 */

#ifndef KEYMILL_H
#define KEYMILL_H

#include <stddef.h>
#include <stdint.h>

/*
 Room for the identifier of a scheme and the zero byte behind it.
 */
#define KEYMILL_SCHEME_ID_BYTES 64

/*
 How a call ended. The first five mean what the exit codes of the program `keymill` mean.
 */
typedef enum keymill_status {
    /*
     It is done; of `keymill_verify`, the signature is valid.
     */
    KEYMILL_STATUS_DONE = 0,
    /*
     The answer is no: the signature is not valid, or the epoch has signed another message.
     */
    KEYMILL_STATUS_NO = 1,
    /*
     The call was wrong: a pointer, a length, a path, a key that is not open, an epoch that the key does not have.
     */
    KEYMILL_STATUS_USAGE = 2,
    /*
     The key directory is damaged, locked, or not what was asked for; the same of the service that holds the key.
     */
    KEYMILL_STATUS_DIRECTORY = 3,
    /*
     The machine failed: disk full, error of a disk, no memory, or a service that does not answer. When the cause is gone, try
     again.
     */
    KEYMILL_STATUS_MACHINE = 4,
    /*
     An error of keymill itself. The key with which it happened signs no more until it is opened again.
     */
    KEYMILL_STATUS_PANIC = 5,
} keymill_status;

/*
 What a scheme demands. Every length that a function is given has to be exactly the one that stands here.
 */
typedef struct keymill_scheme_facts {
    /*
     The identifier, with a zero byte at its end.
     */
    char id[KEYMILL_SCHEME_ID_BYTES];
    /*
     The number of epochs of a whole lifetime.
     */
    uint64_t lifetime;
    /*
     Bytes of a message.
     */
    size_t message_bytes;
    /*
     Bytes of a digest, and so of a leaf.
     */
    size_t digest_bytes;
    /*
     Bytes of the siblings of a path, from the leaf's upward.
     */
    size_t siblings_bytes;
    /*
     Bytes of a public key.
     */
    size_t public_key_bytes;
    /*
     Bytes of a signature.
     */
    size_t signature_bytes;
} keymill_scheme_facts;

/*
 An open key. It is a number and not a pointer, so a key that is closed, or was never open, is refused. All zeros are not a key.
 */
typedef struct keymill_key {
    /*
     Never given out twice in a process.
     */
    uint64_t id;
} keymill_key;

/*
 What is public about an open key, beside its public key.
 */
typedef struct keymill_key_facts {
    /*
     Its scheme.
     */
    struct keymill_scheme_facts scheme;
    /*
     The first epoch that it has.
     */
    uint64_t first_epoch;
    /*
     How many epochs it has.
     */
    uint64_t epochs;
} keymill_key_facts;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 The version of the library, such as "0.1.0". The text is there as long as the library is.
 */
const char *keymill_version(void);

/*
 What was wrong with this thread's last call of any function but this one; an empty text if nothing was. It is there
 until the thread's next call.
 */
const char *keymill_last_error(void);

/*
 Tells the sizes of a scheme, by its identifier or the name of its type upstream.

 # Safety
 `scheme` leads to text with a zero byte at its end, `facts` to memory for the facts.
 */
enum keymill_status keymill_describe_scheme(const char *scheme, struct keymill_scheme_facts *facts);

/*
 Opens the finished key in a directory for reading: for its paths and its public key. It takes no lock, and needs the secret
 only if the key is trimmed. Instead of a directory, `place` can be the address of a key in a service, such as
 "unix:/run/keymill.sock?key=0x..." (docs/C.md).

 # Safety
 `place` leads to text with a zero byte at its end, `key` to memory for a key.
 */
enum keymill_status keymill_open(const char *place,
                                 struct keymill_key *key);

/*
 Opens the finished key in a directory for signing, and for all that `keymill_open` is for. The directory is locked until the
 key is closed: no other process, and no other key of this process, can sign with it meanwhile. Of a key in a service, whose
 address `place` can be as well, nothing is locked.

 # Safety
 As for `keymill_open`.
 */
enum keymill_status keymill_open_to_sign(const char *place,
                                         struct keymill_key *key);

/*
 Closes a key. Calls of other threads that are under way with it are not disturbed: what it holds, the lock too, is given
 back when the last of them is over.
 */
enum keymill_status keymill_close(struct keymill_key key);

/*
 Tells what is public about an open key, and with it the sizes of what belongs to it.

 # Safety
 `facts` leads to memory for the facts.
 */
enum keymill_status keymill_describe_key(struct keymill_key key, struct keymill_key_facts *facts);

/*
 Writes the public key of an open key, in SSZ.

 # Safety
 `public_key` leads to so many bytes.
 */
enum keymill_status keymill_public_key(struct keymill_key key, uint8_t *public_key, size_t public_key_bytes);

/*
 Writes the authentication path of an epoch: its leaf, and the siblings from the leaf's upward. It has been checked against
 the public key.

 # Safety
 `leaf` and `siblings` lead to so many bytes each.
 */
enum keymill_status keymill_path(struct keymill_key key,
                                 uint64_t epoch,
                                 uint8_t *leaf,
                                 size_t leaf_bytes,
                                 uint8_t *siblings,
                                 size_t siblings_bytes);

/*
 Signs a message with an epoch, and writes the signature, in SSZ. Before it returns, the epoch is spent on disk: with the
 same message it gives the same signature again, and any other message is refused with KEYMILL_STATUS_NO.

 # Safety
 `message` and `signature` lead to so many bytes each.
 */
enum keymill_status keymill_sign(struct keymill_key key,
                                 uint64_t epoch,
                                 const uint8_t *message,
                                 size_t message_bytes,
                                 uint8_t *signature,
                                 size_t signature_bytes);

/*
 Says whether a signature is valid: KEYMILL_STATUS_DONE if it is, KEYMILL_STATUS_NO if not, also if it is malformed. It needs
 no key directory.

 # Safety
 `scheme` leads to text with a zero byte at its end, `public_key`, `message` and `signature` to so many bytes each.
 */
enum keymill_status keymill_verify(const char *scheme,
                                   const uint8_t *public_key,
                                   size_t public_key_bytes,
                                   uint64_t epoch,
                                   const uint8_t *message,
                                   size_t message_bytes,
                                   const uint8_t *signature,
                                   size_t signature_bytes);

/*
 Begins to write a line to a new file whenever something long-lived (a key, a mapping, a file, a thread) comes to be or is
 given back, in the whole process. `keymill memory-report` tells from it what was never given back.

 # Safety
 `file` leads to text with a zero byte at its end.
 */
enum keymill_status keymill_trace_begin(const char *file);

/*
 Ends the trace. What is still there then counts as never given back, unless it is given back later.
 */
enum keymill_status keymill_trace_end(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* KEYMILL_H */
