// A guest module in C without any library: the ABI of docs/abi.md by hand.
//
// inos_call reads a Cap'n Proto Request and answers with a Response, both of one
// segment. Offsets are in 64-bit words and follow protocols/schemas/module/v1/call.capnp.
#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(name)))

// ---- memory: never freed, the node restores it after each call

extern uint8_t __heap_base;
static uintptr_t heap_next;

EXPORT("inos_alloc") int32_t inos_alloc(int32_t size) {
  if (!heap_next) heap_next = ((uintptr_t)&__heap_base + 7) & ~(uintptr_t)7;
  uint64_t end = ((uint64_t)heap_next + (uint32_t)size + 7) & ~(uint64_t)7;
  uint64_t have = (uint64_t)__builtin_wasm_memory_size(0) << 16;
  if (end > have) {
    uint64_t pages = (end - have + 65535) >> 16;
    if (end > UINT32_MAX || __builtin_wasm_memory_grow(0, pages) == SIZE_MAX) return 0;
  }
  uintptr_t at = heap_next;
  heap_next = (uintptr_t)end;
  return (int32_t)at;
}

EXPORT("inos_abi") int32_t inos_abi(void) { return 1; }

// ---- messages

static uint64_t word(const uint8_t *p) {
  uint64_t w;
  __builtin_memcpy(&w, p, 8);
  return w;
}

static int64_t place(const void *p, uint32_t length) { return (int64_t)(uintptr_t)p << 32 | length; }

// The frame of every answer: one segment, a root of one data word and one pointer.
enum { FRAME = 0, ROOT = 1, TAG = 2, BODY = 3 };
#define STRUCT(offset, data, pointers) ((uint64_t)(offset) << 2 | (uint64_t)(data) << 32 | (uint64_t)(pointers) << 48)
#define TEXT(offset, bytes) ((uint64_t)(offset) << 2 | 1 | 2ull << 32 | (uint64_t)(bytes) << 35)

static uint64_t answer[64];

static int64_t succeed(const void *output, uint32_t length) {
  answer[FRAME] = 6ull << 32; // segments - 1, words
  answer[ROOT] = STRUCT(0, 1, 1);
  answer[TAG] = 0;
  answer[BODY] = STRUCT(0, 0, 2);
  answer[4] = STRUCT(1, 1, 0); // output: a Span after the two pointers
  answer[5] = 0;               // mediaType: the declared one
  answer[6] = (uint64_t)(uintptr_t)output | (uint64_t)length << 32;
  return place(answer, 7 * 8);
}

static uint64_t copy_text(uint64_t *to, const char *text) {
  uint64_t n = 0;
  for (uint8_t *p = (uint8_t *)to; (p[n] = (uint8_t)text[n]); n++) {
  }
  return n + 1;
}

// kind has at most 15 bytes, message at most 255.
static int64_t fail(const char *kind, const char *message) {
  for (int i = 0; i < 64; i++) answer[i] = 0;
  uint64_t kind_bytes = copy_text(&answer[6], kind);
  uint64_t message_bytes = copy_text(&answer[8], message);
  answer[FRAME] = (uint64_t)(7 + (message_bytes + 7) / 8) << 32;
  answer[ROOT] = STRUCT(0, 1, 1);
  answer[TAG] = 1;
  answer[BODY] = STRUCT(0, 0, 2);
  answer[4] = TEXT(1, kind_bytes);
  answer[5] = TEXT(2, message_bytes);
  return place(answer, (uint32_t)(8 * (8 + (message_bytes + 7) / 8)));
}

// ---- the work

enum { MAX_LINE = 16384 };
static uint16_t row[MAX_LINE + 1];

// Source: Wagner and Fischer, "The String-to-String Correction Problem", JACM 21(1), 1974.
static uint32_t distance(const uint8_t *a, uint32_t m, const uint8_t *b, uint32_t n) {
  for (uint32_t j = 0; j <= n; j++) row[j] = (uint16_t)j;
  for (uint32_t i = 1; i <= m; i++) {
    uint16_t diagonal = row[0];
    row[0] = (uint16_t)i;
    for (uint32_t j = 1; j <= n; j++) {
      uint16_t best = diagonal + (a[i - 1] != b[j - 1]);
      if (row[j] + 1 < best) best = row[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      diagonal = row[j];
      row[j] = best;
    }
  }
  return row[n];
}

static uint32_t line_length(const uint8_t *p, const uint8_t *end) {
  const uint8_t *q = p;
  while (q < end && *q != '\n') q++;
  return (uint32_t)(q - p);
}

static uint8_t *decimal(uint8_t *out, uint32_t v) {
  uint8_t digits[10];
  int n = 0;
  do digits[n++] = (uint8_t)('0' + v % 10);
  while (v /= 10);
  while (n) *out++ = digits[--n];
  *out++ = '\n';
  return out;
}

static int64_t distances(const uint8_t *input, uint32_t length, uint64_t limit) {
  const uint8_t *end = input + length, *p = input;
  uint64_t lines = 1;
  for (uint32_t i = 0; i < length; i++) lines += input[i] == '\n';
  if (lines * 7 > UINT32_MAX) return fail("exhausted", "the input has too many lines; split it");
  uint8_t *out = (uint8_t *)(uintptr_t)inos_alloc((int32_t)(lines * 7)), *at = out; // a distance is below 100,000
  if (!out) return fail("exhausted", "there is not enough memory for the distances; raise the call's memory limit");
  uint32_t here = line_length(p, end);
  while (p + here < end && p + here + 1 < end) {
    const uint8_t *next = p + here + 1;
    uint32_t there = line_length(next, end);
    if (here > MAX_LINE || there > MAX_LINE) return fail("exhausted", "a line is longer than 16384 bytes; split it");
    at = decimal(at, distance(p, here, next, there));
    p = next;
    here = there;
  }
  if ((uint64_t)(at - out) > limit) return fail("exhausted", "the output is longer than the call allows; raise its output limit");
  return succeed(out, (uint32_t)(at - out));
}

EXPORT("inos_call") int64_t inos_call(int32_t pointer, int32_t length) {
  const uint8_t *m = (const uint8_t *)(uintptr_t)pointer;
  if ((uint32_t)length < 16 || (word(m) & UINT32_MAX)) return fail("invalid", "the request is not one segment");
  uint64_t root = word(m + 8);
  const uint8_t *data = m + 16 + 8 * (int64_t)((int32_t)(uint32_t)root >> 2);
  uint32_t data_words = (uint16_t)(root >> 32), pointers = (uint16_t)(root >> 48);
  uint64_t limit = data_words > 0 ? word(data) : 0; // outputLimit
  uint32_t input = 0, bytes = 0;
  if (pointers > 3) { // input, the fourth pointer: a Span of one data word
    const uint8_t *p = data + 8 * data_words + 8 * 3;
    uint64_t to = word(p);
    if (to) {
      uint64_t span = word(p + 8 + 8 * (int64_t)((int32_t)(uint32_t)to >> 2));
      input = (uint32_t)span;
      bytes = (uint32_t)(span >> 32);
    }
  }
  return distances((const uint8_t *)(uintptr_t)input, bytes, limit);
}
