// rows: 30
// what: attaches to the judge
// stopped by: symbols seccomp namespaces identity landlock
// verdict: compile_error
// needs: root
// kernel: optional
#include "hostile.h"

#include <sys/ptrace.h>
#include <unistd.h>

static bool attack() {
  const int judge = getppid();
  if (ptrace(PTRACE_SEIZE, judge, nullptr, nullptr) != 0)
    return false;
  ptrace(PTRACE_DETACH, judge, nullptr, nullptr);
  return true;
}

HIDE_BEHIND_ROWS
