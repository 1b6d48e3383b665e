// rows: 52
// what: runs as an object at namespace scope is initialised
// stopped by: symbols
// verdict: compile_error
#include "hostile.h"

struct early {
  early();
  int ran;
};
early::early() { ran = 1; }
static early object;
static bool attack() { return object.ran == 1; }

HIDE_BEHIND_ROWS
