// rows: 56
// what: a source path that leaves its folder
// stopped by: flags
// verdict: compile_error
// succeeds as: outcome passed
// path: a/../candidate.cpp
#include "hostile.h"

static bool attack() { return false; }

HIDE_BEHIND_ROWS
