// kevolve-harness: holds one candidate in a process of its own and calls it when the judge says so. It sees input and output buffers only:
// no reference, seed, expected value, clock or environment. Whatever it claims is worth nothing; see channel.hpp.
// Arguments: none, or "wait" (namespaces.hpp). Descriptor 3: the control channel. Limits, identity and environment were set by the judge before exec.
#include "node-agent/channel.hpp"
#include "protocol/native_abi.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

namespace {

using namespace kevolve::agent;
using run_function = int (*)(const kevolve_tensor*, kevolve_tensor*, const kevolve_int64*, void*, void*);
using workspace_function = kevolve_int64 (*)(const kevolve_int64*);

constexpr std::size_t page = 4096;

struct region {
  char* base = nullptr;
  std::size_t bytes = 0;
};

struct slot {
  std::vector<kevolve_int64> axes;
  std::vector<std::vector<kevolve_int64>> extents; // shape and strides of every tensor
  std::vector<kevolve_tensor> inputs, outputs;
  std::vector<std::size_t> output_elements, output_bytes;
  std::vector<region> regions;
  void* workspace = nullptr;
  std::size_t workspace_bytes = 0;
};

slot slots[channel::slots];
run_function run = nullptr;
workspace_function workspace_bytes = nullptr;
alignas(16) char body[channel::body_bytes];

void answer(std::uint64_t number, std::int32_t status, const char* text = nullptr) {
  char record[sizeof(channel::reply) + 2048];
  channel::reply r;
  r.status = status;
  r.number = number;
  r.length = text ? strnlen(text, 2048) : 0;
  std::memcpy(record, &r, sizeof r);
  if (text)
    std::memcpy(record + sizeof r, text, r.length);
  (void)!::send(channel::descriptor, record, sizeof r + r.length, MSG_NOSIGNAL);
}

/// Receives one request, its body and its descriptors; ends the process when the judge is gone.
channel::request receive(int fds[2]) {
  channel::request r;
  iovec parts[2] = {{&r, sizeof r}, {body, sizeof body}};
  alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
  for (;;) { // blocks at once: a harness that spins would take a core from the one that is measured next
    msghdr m{};
    m.msg_iov = parts;
    m.msg_iovlen = 2;
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    const ssize_t n = ::recvmsg(channel::descriptor, &m, MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < static_cast<ssize_t>(sizeof r) || r.mark != channel::magic)
      ::_exit(0);
    fds[0] = fds[1] = -1;
    for (cmsghdr* c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
      if (c->cmsg_type == SCM_RIGHTS)
        std::memcpy(fds, CMSG_DATA(c), std::min<std::size_t>(c->cmsg_len - CMSG_LEN(0), 2 * sizeof(int)));
    return r;
  }
}

const char* load(int artifact) {
  static char message[2048];
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", artifact);
  void* handle = ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    std::snprintf(message, sizeof message, "cannot load the candidate: %s", ::dlerror());
    return message;
  }
  ::close(artifact);
  run = reinterpret_cast<run_function>(::dlsym(handle, "kevolve_run"));
  workspace_bytes = reinterpret_cast<workspace_function>(::dlsym(handle, "kevolve_workspace_bytes"));
  if (!run)
    return "the candidate does not export kevolve_run (it must be extern \"C\")";
  ::prctl(PR_SET_DUMPABLE, 0);
  return nullptr;
}

/// Landlock by its system calls (the C library has no names for them): reading libraries is left, and nothing else that a path, a port or a
/// signal leads to. Grows with what the kernel knows (its ABI 1 to 6 and later).
const char* fence() {
  static char message[128];
  const auto problem = [](const char* what) {
    std::snprintf(message, sizeof message, "cannot set up Landlock: %s: %s", what, std::strerror(errno));
    return message;
  };
  struct {
    std::uint64_t files, ports, scopes;
  } rules{(1u << 13) - 1, 0, 0};
  const long abi = ::syscall(444, nullptr, 0, 1);
  if (abi < 1)
    return problem("the kernel has none");
  if (abi >= 2)
    rules.files |= 1u << 13; // moving between folders
  if (abi >= 3)
    rules.files |= 1u << 14; // truncating
  if (abi >= 4)
    rules.ports = 3;         // TCP: bind, connect
  if (abi >= 5)
    rules.files |= 1u << 15; // device ioctls
  if (abi >= 6)
    rules.scopes = 3;        // abstract sockets and signals to outside
  const int set = static_cast<int>(::syscall(444, &rules, abi >= 6 ? 24 : abi >= 4 ? 16 : 8, 0));
  if (set < 0)
    return problem("no rule set");
  for (const char* folder : {"/lib", "/lib64", "/usr/lib", "/usr/lib64"}) {
    struct __attribute__((packed)) {
      std::uint64_t access;
      std::int32_t folder;
    } beneath{1u << 2 | 1u << 3, ::open(folder, O_PATH | O_CLOEXEC)}; // read files, list folders
    if (beneath.folder < 0)
      continue;
    const long added = ::syscall(445, set, 1, &beneath, 0);
    ::close(beneath.folder);
    if (added != 0)
      return problem(folder);
  }
  if (::syscall(446, set, 0) != 0)
    return problem("restricting this process");
  ::close(set);
  const int open = ::open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (open >= 0 || (errno != EACCES && errno != ENOENT))
    return problem("a file can still be opened");
  return nullptr;
}

const char* confine(std::uint32_t with_fence, std::size_t filter_bytes) {
  if (with_fence)
    if (const char* problem = fence())
      return problem;
  if (filter_bytes > 0) {
    const sock_fprog program{static_cast<unsigned short>(filter_bytes / sizeof(sock_filter)), reinterpret_cast<sock_filter*>(body)};
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
      return "cannot install the system call filter";
  }
  return nullptr;
}

void release(slot& s) {
  for (const region& r : s.regions)
    ::munmap(r.base, r.bytes);
  if (s.workspace)
    ::munmap(s.workspace, s.workspace_bytes);
  s = {};
}

/// Maps a tensor's pages with an inaccessible page on either side.
char* map_guarded(slot& s, int fd, std::size_t offset, std::size_t bytes, int protection) {
  const std::size_t first = offset / page * page;
  const std::size_t span = (offset + bytes + page - 1) / page * page - first;
  void* reserved = ::mmap(nullptr, span + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED)
    return nullptr;
  s.regions.push_back({static_cast<char*>(reserved), span + 2 * page});
  char* inside = static_cast<char*>(reserved) + page;
  if (span && ::mmap(inside, span, protection, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, static_cast<off_t>(first)) == MAP_FAILED)
    return nullptr;
  return inside + (offset - first);
}

class cursor {
public:
  explicit cursor(std::size_t bytes) : left_(bytes / 8) {}
  bool next(std::int64_t& value) {
    if (left_ == 0)
      return false;
    std::memcpy(&value, body + 8 * at_++, 8);
    --left_;
    return true;
  }

private:
  std::size_t at_ = 0, left_;
};

bool map_tensor(slot& s, cursor& c, int fd, int protection, std::vector<kevolve_tensor>& into) {
  std::int64_t type = 0, scalar = 0, offset = 0, bytes = 0, rank = 0;
  if (!c.next(type) || !c.next(scalar) || !c.next(offset) || !c.next(bytes) || !c.next(rank) || rank < 0 || rank > 64)
    return false;
  auto& both = s.extents.emplace_back(2 * static_cast<std::size_t>(rank));
  for (std::int64_t i = 0; i < rank; ++i) {
    std::int64_t extent = 0;
    if (!c.next(extent))
      return false;
    both[static_cast<std::size_t>(i)] = extent;
  }
  std::int64_t stride = 1;
  for (std::int64_t i = rank; i-- > 0; stride *= both[static_cast<std::size_t>(i)])
    both[static_cast<std::size_t>(rank + i)] = stride;
  char* data = map_guarded(s, fd, static_cast<std::size_t>(offset), static_cast<std::size_t>(bytes), protection);
  if (!data)
    return false;
  if (protection & PROT_WRITE) {
    s.output_elements.push_back(static_cast<std::size_t>(stride)); // the product of all extents by now
    s.output_bytes.push_back(static_cast<std::size_t>(bytes));
  }
  into.push_back({data, both.data(), both.data() + rank, static_cast<int>(rank), static_cast<int>(type)});
  return true;
}

const char* map(std::uint32_t number, std::size_t length, const int fds[2]) {
  static char message[256];
  slot& s = slots[number % channel::slots];
  release(s);
  cursor c(length);
  std::int64_t n = 0;
  bool good = c.next(n) && n >= 0 && n < 1024;
  for (std::int64_t i = 0; good && i < n; ++i) {
    std::int64_t value = 0;
    good = c.next(value);
    s.axes.push_back(value);
  }
  good = good && c.next(n) && n >= 0 && n < 1024;
  for (std::int64_t i = 0; good && i < n; ++i)
    good = map_tensor(s, c, fds[0], PROT_READ, s.inputs);
  good = good && c.next(n) && n >= 0 && n < 1024;
  for (std::int64_t i = 0; good && i < n; ++i)
    good = map_tensor(s, c, fds[1], PROT_READ | PROT_WRITE, s.outputs);
  if (!good) {
    std::snprintf(message, sizeof message, "cannot map the buffers: %s", std::strerror(errno));
    return message;
  }
  const kevolve_int64 wanted = workspace_bytes ? workspace_bytes(s.axes.data()) : 0;
  if (wanted > 0) {
    s.workspace_bytes = static_cast<std::size_t>(wanted);
    s.workspace = ::mmap(nullptr, s.workspace_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s.workspace == MAP_FAILED) {
      s.workspace = nullptr;
      std::snprintf(message, sizeof message, "no memory for the workspace of %lld bytes that the candidate asks for",
                    static_cast<long long>(wanted));
      return message;
    }
    ::madvise(s.workspace, s.workspace_bytes, MADV_HUGEPAGE); // packed panels and tables stay within the reach of the TLB
  }
  return nullptr;
}

/// Spoils one element of the outputs, another one before each call: a result that is left from the call before is none.
void poke(slot& s, std::uint64_t where) {
  if (s.outputs.empty())
    return;
  const std::size_t output = static_cast<std::size_t>(where % s.outputs.size());
  if (const std::size_t elements = s.output_elements[output]; elements > 0) {
    const std::size_t size = s.output_bytes[output] / elements;
    std::memset(static_cast<char*>(s.outputs[output].data) + (where >> 8) % elements * size, channel::poison_byte, size);
  }
}

std::int32_t call(slot& s, std::uint32_t count, std::size_t length) {
  std::uint64_t seed = 0;
  if (length >= sizeof seed)
    std::memcpy(&seed, body, sizeof seed);
  std::int32_t status = 0;
  for (std::uint32_t i = 0; i < count && status == 0; ++i) {
    if (seed)
      poke(s, channel::poked(seed, i));
    status = run(s.inputs.data(), s.outputs.data(), s.axes.data(), s.workspace, nullptr);
  }
  return status;
}

} // namespace

int main(int count, char** arguments) {
  if (count > 1 && std::strcmp(arguments[1], "wait") == 0) { // holds namespaces open
    (void)!::write(channel::descriptor, ".", 1);
    ::syscall(SYS_close_range, 0u, ~0u, 0u);
    for (;;)
      ::pause();
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL); // exec after a change of identity clears it
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (::getppid() == 1)
    return 0;
  for (;;) {
    int fds[2];
    const channel::request r = receive(fds);
    const char* problem = nullptr;
    std::int32_t status = 0;
    try {
      switch (r.what) {
        case channel::confine: problem = confine(r.count, r.length); break;
        case channel::load: problem = load(fds[0]); break;
        case channel::map: problem = map(r.slot, r.length, fds); break;
        case channel::unmap: release(slots[r.slot % channel::slots]); break;
        case channel::call: status = call(slots[r.slot % channel::slots], r.count, r.length); break;
        default: ::_exit(0);
      }
    } catch (...) {
      problem = "the candidate threw an exception";
    }
    if (r.what == channel::map)
      for (int fd : {fds[0], fds[1]})
        if (fd >= 0)
          ::close(fd);
    if (problem)
      answer(r.number, r.what == channel::call ? -2 : 1, problem);
    else
      answer(r.number, status);
  }
}
