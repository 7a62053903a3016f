/* The echo of the measurements against the imports of Extism, as its C PDK does it: the
 * input comes and the output goes eight bytes at a time, each by a call of the host. */
#include <stdint.h>

#define HOST(name) __attribute__((import_module("extism:host/env"), import_name(#name)))

HOST(input_length) extern uint64_t input_length(void);
HOST(input_load_u8) extern uint32_t input_load_u8(uint64_t offset);
HOST(input_load_u64) extern uint64_t input_load_u64(uint64_t offset);
HOST(alloc) extern uint64_t host_alloc(uint64_t length);
HOST(store_u8) extern void store_u8(uint64_t offset, uint32_t byte);
HOST(store_u64) extern void store_u64(uint64_t offset, uint64_t word);
HOST(output_set) extern void output_set(uint64_t offset, uint64_t length);

static uint8_t buffer[1 << 16];

__attribute__((export_name("echo"), visibility("default"))) int32_t echo(void) {
    uint64_t n = input_length(), at = 0;
    if (n > sizeof buffer) return 1;
    for (; n - at >= 8; at += 8) {
        uint64_t word = input_load_u64(at);
        __builtin_memcpy(buffer + at, &word, 8);
    }
    for (; at < n; at++) buffer[at] = (uint8_t)input_load_u8(at);
    uint64_t out = host_alloc(n);
    for (at = 0; n - at >= 8; at += 8) {
        uint64_t word;
        __builtin_memcpy(&word, buffer + at, 8);
        store_u64(out + at, word);
    }
    for (; at < n; at++) store_u8(out + at, buffer[at]);
    output_set(out, n);
    return 0;
}
