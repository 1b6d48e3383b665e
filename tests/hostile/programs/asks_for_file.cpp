// rows: 45
// what: learns which files the host has
// stopped by: compile_jail
// verdict: passed
#include "hostile.h"

static bool attack() {
#if __has_include("@CANARY@")
  return true;
#else
  return false;
#endif
}

HIDE_BEHIND_ROWS
