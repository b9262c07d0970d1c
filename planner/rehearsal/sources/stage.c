/* What is shared: the mapped file, its lock, the processes on it, and the cap on host memory. */
#define _GNU_SOURCE
#include "stage.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct stage *stage;
static int stage_file = -1;
static pthread_once_t stage_once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static int entered; /* how often this process is inside; under the lock */
static struct process *mine;
int stage_started, stage_forked;

void imaginary_say(const char *format, ...) {
  char text[1024]; /* one write, so that lines of several processes do not mix */
  va_list arguments;
  va_start(arguments, format);
  int length = snprintf(text, sizeof text, "sam2-plan rehearsal: ");
  vsnprintf(text + length, sizeof text - (size_t)length - 1, format, arguments);
  va_end(arguments);
  strcat(text, "\n");
  fputs(text, stderr);
}

static void before_fork(void) { imaginary_lock(); }
static void in_parent(void) { imaginary_unlock(); }
/* CUDA cannot be used in a child whose parent had asked it for anything, as with a driver (torch warns of "poisoned"
 * forks); one whose parent had not is a process of its own. */
static void in_child(void) {
  pthread_mutexattr_t kind;
  pthread_mutexattr_init(&kind);
  pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_init(&lock, &kind);
  entered = 0;
  stage_forked |= stage_started;
  mine = NULL;
  if (stage_file < 0) return;
  char path[64]; /* a file of its own: flock locks what was opened, which a fork shares */
  snprintf(path, sizeof path, "/proc/self/fd/%d", stage_file);
  int again = open(path, O_RDWR | O_CLOEXEC);
  close(stage_file);
  stage_file = again;
}

static void stage_open(void) {
  pthread_atfork(before_fork, in_parent, in_child);
  const char *folder = getenv("SAM2_PLAN_REHEARSAL_STAGE");
  if (!folder || !*folder) {
    imaginary_say("SAM2_PLAN_REHEARSAL_STAGE names no stage, so there is no GPU");
    return;
  }
  char path[4096];
  snprintf(path, sizeof path, "%s/stage", folder);
  struct stat facts;
  stage_file = open(path, O_RDWR | O_CLOEXEC);
  if (stage_file < 0 || fstat(stage_file, &facts) < 0 || (size_t)facts.st_size < sizeof *stage) {
    imaginary_say("no stage in %s (%s), so there is no GPU", path, strerror(errno));
    return;
  }
  void *p = mmap(NULL, sizeof *stage, PROT_READ | PROT_WRITE, MAP_SHARED, stage_file, 0);
  struct stage *found = p;
  if (p == MAP_FAILED || found->magic != STAGE_MAGIC || found->size != sizeof *stage) {
    imaginary_say("%s is not a stage of this build, so there is no GPU", path);
    return;
  }
  stage = found;
}

struct stage *imaginary_stage(void) {
  pthread_once(&stage_once, stage_open);
  return stage;
}

int imaginary_trace(void) { return imaginary_stage() ? stage->trace : 0; }

/* Private memory of a process is capped, for one that asks for garbage sizes must not take the machine with it.
 * The devices' memory is shared memory, which this limit does not count. Children inherit it. */
__attribute__((constructor)) static void cap(void) {
  const char *text = getenv("SAM2_PLAN_REHEARSAL_HOST_LIMIT");
  struct rlimit limit;
  if (!text || !*text || getrlimit(RLIMIT_DATA, &limit)) return;
  rlim_t asked = strtoull(text, NULL, 10);
  if (!asked || (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur <= asked)) return;
  limit.rlim_cur = asked;
  setrlimit(RLIMIT_DATA, &limit);
}

void imaginary_lock(void) { pthread_mutex_lock(&lock); }
void imaginary_unlock(void) { pthread_mutex_unlock(&lock); }

/* flock, and not a mutex in the file: the kernel lets go of it when a process is killed. */
void imaginary_enter(void) {
  imaginary_lock();
  if (entered++ == 0 && stage_file >= 0)
    while (flock(stage_file, LOCK_EX) < 0 && errno == EINTR) {}
}
void imaginary_leave(void) {
  if (--entered == 0 && stage_file >= 0) flock(stage_file, LOCK_UN);
  imaginary_unlock();
}

/* 0 where there is no such process, or it has ended and only waits for its parent. */
static uint64_t started(int pid) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  if (length <= 0) return 0;
  text[length] = 0;
  char *field = strrchr(text, ')'); /* the name before it may hold anything */
  if (!field || field[1] == 0 || field[2] == 'Z' || field[2] == 'X') return 0;
  for (int i = 2; field && i < 22; i++) field = strchr(field + 1, ' '); /* proc(5): field 22 is the start time */
  return field ? strtoull(field, NULL, 10) : 0;
}

static void end(struct process *process) {
  process->ended = 1;
  for (int i = 0; i < STAGE_GPUS; i++) process->usage[i].held = process->usage[i].context = 0;
}

int imaginary_alive(struct process *process) {
  if (process->ended) return 0;
  if (process == mine) return 1;
  if (started(process->pid) == process->started) return 1;
  end(process);
  return 0;
}

uint64_t imaginary_taken(int place) {
  uint64_t sum = 0;
  for (int i = 0; i < stage->processes; i++) {
    struct usage *usage = &stage->process[i].usage[place];
    if (usage->held + usage->context && imaginary_alive(&stage->process[i])) sum += usage->held + usage->context;
  }
  return sum;
}

static struct process *claim(void) {
  int pid = (int)getpid();
  for (int i = 0; i < stage->processes; i++) /* the program that this one replaced by exec */
    if (stage->process[i].pid == pid) end(&stage->process[i]);
  if (stage->processes == STAGE_PROCESSES) {
    imaginary_say("more than %d processes have used this stage's GPUs", STAGE_PROCESSES);
    abort();
  }
  struct process *process = &stage->process[stage->processes];
  process->pid = pid;
  process->started = started(pid);
  stage->processes++;
  return process;
}

struct process *stage_process(void) {
  if (!mine) mine = claim();
  return mine;
}

/* A function that nobody wrote: it names itself, once a process, and the stage keeps its name. */
long imaginary_unknown(const char *name, long answer) {
  static const char *said[STAGE_UNKNOWN];
  static int count;
  imaginary_stage();
  imaginary_lock();
  int known = count == STAGE_UNKNOWN;
  for (int i = 0; i < count && !known; i++) known = said[i] == name;
  if (!known) {
    said[count++] = name;
    imaginary_say(answer ? "%s is not imagined: it answers error %ld" : "%s is not imagined: it does nothing", name,
                  answer);
  }
  imaginary_unlock();
  if (known || !stage) return answer;
  imaginary_enter();
  for (int i = 0; i < stage->unknown && !known; i++) known = !strncmp(stage->unknown_names[i], name, 63);
  if (!known && stage->unknown < STAGE_UNKNOWN) strncpy(stage->unknown_names[stage->unknown++], name, 63);
  imaginary_leave();
  return answer;
}
