// Process groups that must not outlive this process, however it ends. The kernel's own means (a signal when the parent dies) reaches only whoever asked for it in time: bubblewrap's second process asks late in
// its birth, and one that is born or stopped while we are killed would live on. So a shell of its own, the warden, is told which groups run, and kills them once the line to it breaks.
#pragma once

namespace kevolve::agent {

/// The line to this process's warden, which the first call starts; a descriptor that closes on exec, -1 where there is none (no /bin/sh). Any thread.
int warden_line();

/// For the leader of a new group, between fork and exec: allocates nothing, takes no lock.
void tell_warden_of_us(int line);
/// To be called while the group's number cannot be another's yet: before its leader is reaped.
void tell_warden_that_ended(int line, int group);

} // namespace kevolve::agent
