// rows: 83
// what: loads a library that it was not linked with
// stopped by: symbols
// verdict: compile_error
#include "hostile.h"

#include <dlfcn.h>

static bool attack() {
  return dlopen("libm.so.6", RTLD_NOW) != nullptr;
}

HIDE_BEHIND_ROWS
