/* Attaches to a node's arena and prints its metrics whenever a job changes.
 *
 *     cc -O2 -o example sdk/c/example.c && ./example ~/.local/share/inos/arena.sock [COUNT]
 *
 * Linux, C11, nothing but the system's headers and inos_arena.h. It ends after
 * COUNT changes, or with the node.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "inos_arena.h"

static uint32_t load32(const uint8_t *b, uint64_t at) {
  return __atomic_load_n((const uint32_t *)(const void *)(b + at), __ATOMIC_SEQ_CST);
}

static uint64_t load64(const uint8_t *b, uint64_t at) {
  return __atomic_load_n((const uint64_t *)(const void *)(b + at), __ATOMIC_SEQ_CST);
}

static void put32(uint8_t *b, uint64_t at, uint64_t v) {
  uint32_t word = (uint32_t)v;
  memcpy(b + at, &word, sizeof word);
}

/* ask sends a request and reads the answer; *file is the file that came with it, or -1. */
static int ask(int sock, uint64_t op, uint64_t cell, int *file, uint8_t answer[INOS_ATTACH_ANSWER_SIZE]) {
  _Alignas(8) uint8_t request[INOS_ATTACH_REQUEST_SIZE] = {0};
  put32(request, INOS_ATTACH_REQUEST_AT_VERSION, INOS_VERSION);
  put32(request, INOS_ATTACH_REQUEST_AT_OP, op);
  put32(request, INOS_ATTACH_REQUEST_AT_ROLE, INOS_ROLE_READ);
  put32(request, INOS_ATTACH_REQUEST_AT_CELL, cell);
  if (send(sock, request, sizeof request, MSG_NOSIGNAL) != (ssize_t)sizeof request) return -1;
  *file = -1;
  for (size_t have = 0; have < INOS_ATTACH_ANSWER_SIZE;) {
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {answer + have, INOS_ATTACH_ANSWER_SIZE - have};
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    if (n <= 0) return -1;
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) memcpy(file, CMSG_DATA(c), sizeof(int));
    have += (size_t)n;
  }
  if (load32(answer, INOS_ATTACH_ANSWER_AT_FAILED)) {
    fprintf(stderr, "refused: %.*s\n", (int)load32(answer, INOS_ATTACH_ANSWER_AT_MESSAGE_LENGTH),
            (const char *)answer + INOS_ATTACH_ANSWER_AT_MESSAGE);
    return -1;
  }
  return 0;
}

static void print_metrics(const uint8_t *arena) {
  for (uint64_t i = 0; i < INOS_METRICS_COUNT; i++) {
    const uint8_t *slot = arena + INOS_METRICS_OFFSET + i * INOS_METRICS_STRIDE;
    if (load32(slot, INOS_METRIC_SLOT_AT_KIND) == 0) break; /* stored last: the name before it is whole */
    uint32_t length = load32(slot, INOS_METRIC_SLOT_AT_NAME_LENGTH);
    uint64_t value = load64(slot, INOS_METRIC_SLOT_AT_VALUE);
    if (length <= INOS_METRIC_SLOT_NAME_BYTES && value != 0)
      printf("%.*s %" PRIu64 "\n", (int)length, (const char *)slot + INOS_METRIC_SLOT_AT_NAME, value);
  }
  fflush(stdout);
}

int main(int argc, char **argv) {
  struct sockaddr_un where = {.sun_family = AF_UNIX};
  if (argc < 2 || strlen(argv[1]) >= sizeof where.sun_path) {
    fprintf(stderr, "usage: %s arena.sock [COUNT]\n", argv[0]);
    return 2;
  }
  strcpy(where.sun_path, argv[1]);
  int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), file;
  if (sock < 0 || connect(sock, (struct sockaddr *)&where, sizeof where) != 0) {
    perror("connect");
    return 1;
  }
  _Alignas(8) uint8_t answer[INOS_ATTACH_ANSWER_SIZE];
  if (ask(sock, INOS_OP_ATTACH, 0, &file, answer) != 0 || file < 0) return 1;
  size_t size = load64(answer, INOS_ATTACH_ANSWER_AT_SIZE);
  const uint8_t *arena = mmap(NULL, size, PROT_READ, MAP_SHARED, file, 0);
  if (arena == MAP_FAILED || load64(arena, 0) != INOS_MAGIC) {
    fprintf(stderr, "the file is not an arena\n");
    return 1;
  }
  if (ask(sock, INOS_OP_WATCH, INOS_CELL_JOBS, &file, answer) != 0) return 1;
  const uint64_t cell = INOS_EPOCHS_OFFSET + INOS_CELL_JOBS * INOS_EPOCHS_STRIDE + INOS_EPOCH_CELL_AT_VALUE;
  long left = argc > 2 ? strtol(argv[2], NULL, 10) : -1;
  printf("attached: %zu MiB\n", size >> 20);
  print_metrics(arena);
  for (uint32_t seen = load32(arena, cell); left != 0; left--) {
    while (load32(arena, cell) == seen) {
      /* Wakes every second to see whether the node is still there. */
      struct timespec second = {1, 0};
      syscall(SYS_futex, arena + cell, FUTEX_WAIT, seen, &second, NULL, 0);
      char byte;
      if (recv(sock, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0) return 0;
    }
    seen = load32(arena, cell);
    printf("jobs moved to %" PRIu32 "\n", seen);
    print_metrics(arena);
  }
  return 0;
}
