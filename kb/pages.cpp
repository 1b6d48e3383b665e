#include "kb/pages.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace kevolve::kb {
namespace {

constexpr std::size_t damage_max = 50;
constexpr std::size_t page_header = 16;
constexpr std::size_t node_header = 8;
constexpr std::size_t key_max = 511;
constexpr std::uint64_t no_page = ~std::uint64_t{0};
constexpr std::uint16_t branch_flag = 1, leaf_flag = 2, overflow_flag = 4, meta_flag = 8;
constexpr std::uint16_t big_data = 1, sub_data = 2, duplicate_data = 4;

template <class T>
T at(const char* data) {
  T value;
  std::memcpy(&value, data, sizeof value);
  return value;
}

struct tree { // MDB_db
  std::uint16_t flags = 0, depth = 0;
  std::uint64_t branches = 0, leaves = 0, overflows = 0, entries = 0, root = no_page;

  static tree read(const char* data) {
    tree t;
    t.flags = at<std::uint16_t>(data + 4);
    t.depth = at<std::uint16_t>(data + 6);
    t.branches = at<std::uint64_t>(data + 8);
    t.leaves = at<std::uint64_t>(data + 16);
    t.overflows = at<std::uint64_t>(data + 24);
    t.entries = at<std::uint64_t>(data + 32);
    t.root = at<std::uint64_t>(data + 40);
    return t;
  }
};

struct meta { // MDB_meta
  bool good = false;
  std::string problem;
  std::uint64_t page_bytes = 0, last_page = 0, transaction = 0;
  tree free_list, names;
};

class walker {
public:
  walker(int descriptor, std::uint64_t file_bytes, page_depth depth) : descriptor_(descriptor), file_bytes_(file_bytes), depth_(depth) {}
  result<page_report> run(std::uint64_t transaction);

private:
  struct counts {
    std::uint64_t branches = 0, leaves = 0, overflows = 0, entries = 0;
    std::string last_key;
    bool has_key = false;
    std::string floor; // the separator that the next leaf key must not be below: a search relies on it
    bool has_floor = false;
    bool skipped_leaves = false;
  };
  enum class role : std::uint8_t { free_list, names, table };

  meta read_meta(int index);
  void damaged(std::string what);
  bool read_page(std::uint64_t number, std::vector<char>& page);
  bool claim(std::uint64_t number, std::uint64_t count, const std::string& who);
  void walk_tree(const tree& t, role what, const std::string& name);
  void walk_page(std::uint64_t number, unsigned level, const tree& t, role what, const std::string& name, counts& seen);
  bool check_layout(const std::vector<char>& page, std::uint64_t number, std::uint16_t expected, const std::string& name);
  void check_key(std::string_view key, role what, std::uint64_t number, const std::string& name, counts& seen);
  void leaf_value(const char* node, std::uint64_t number, role what, const std::string& name, std::string_view key, counts& seen);
  void free_pages(const char* data, std::size_t size, std::uint64_t number);

  int descriptor_;
  std::uint64_t file_bytes_;
  page_depth depth_;
  meta meta_;
  page_report report_;
  std::uint64_t dropped_ = 0;
  std::vector<bool> used_;
  std::vector<std::uint64_t> free_;
};

void walker::damaged(std::string what) {
  if (report_.damage.size() < damage_max)
    report_.damage.push_back(std::move(what));
  else
    ++dropped_;
}

meta walker::read_meta(int index) {
  meta m;
  char data[page_header + 136];
  const std::uint64_t offset = index * (meta_.page_bytes ? meta_.page_bytes : 4096);
  if (::pread(descriptor_, data, sizeof data, static_cast<off_t>(offset)) != static_cast<ssize_t>(sizeof data)) {
    m.problem = "the file is too short for it";
    return m;
  }
  const char* body = data + page_header;
  const auto flags = at<std::uint16_t>(data + 10);
  m.page_bytes = at<std::uint32_t>(body + 24);
  m.free_list = tree::read(body + 24);
  m.names = tree::read(body + 72);
  m.last_page = at<std::uint64_t>(body + 120);
  m.transaction = at<std::uint64_t>(body + 128);
  if (at<std::uint32_t>(body) != 0xbeefc0de)
    m.problem = fmt::format("magic {:#x}, 0xbeefc0de expected", at<std::uint32_t>(body));
  else if (at<std::uint32_t>(body + 4) != 1)
    m.problem = fmt::format("LMDB format {}, 1 expected", at<std::uint32_t>(body + 4));
  else if (at<std::uint64_t>(data) != static_cast<std::uint64_t>(index) || !(flags & meta_flag))
    m.problem = "its page header is not that of a meta page";
  else if (m.page_bytes < 512 || m.page_bytes > 65'536 || (m.page_bytes & (m.page_bytes - 1)))
    m.problem = fmt::format("pages of {} bytes", m.page_bytes);
  else if (m.last_page < 1 || m.last_page > (std::uint64_t{1} << 48) / m.page_bytes)
    m.problem = fmt::format("last page {}", m.last_page);
  m.good = m.problem.empty();
  return m;
}

bool walker::read_page(std::uint64_t number, std::vector<char>& page) {
  page.resize(meta_.page_bytes);
  std::size_t got = 0;
  while (got < page.size()) {
    const ssize_t n = ::pread(descriptor_, page.data() + got, page.size() - got, static_cast<off_t>(number * meta_.page_bytes + got));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0) {
      damaged(fmt::format("page {}: cannot be read: {}", number, n ? std::strerror(errno) : "the file ends before it"));
      return false;
    }
    got += static_cast<std::size_t>(n);
  }
  ++report_.pages;
  return true;
}

/// Every page belongs to one place only, lies in the file and below the last page.
bool walker::claim(std::uint64_t number, std::uint64_t count, const std::string& who) {
  if (number < 2 || count == 0 || number > meta_.last_page || count > meta_.last_page + 1 - number) {
    damaged(fmt::format("{}: names page {} (+{}), the last one is {}", who, number, count, meta_.last_page));
    return false;
  }
  if ((number + count) * meta_.page_bytes > file_bytes_) {
    damaged(fmt::format("{}: page {} ends at byte {}, the file has {}: truncated", who, number, (number + count) * meta_.page_bytes,
                        file_bytes_));
    return false;
  }
  for (std::uint64_t i = number; i < number + count; ++i) {
    if (used_[i]) {
      damaged(fmt::format("{}: page {} is used twice", who, i));
      return false;
    }
    used_[i] = true;
  }
  return true;
}

bool walker::check_layout(const std::vector<char>& page, std::uint64_t number, std::uint16_t expected, const std::string& name) {
  const auto stated = at<std::uint64_t>(page.data());
  const auto flags = static_cast<std::uint16_t>(at<std::uint16_t>(page.data() + 10) & 0x6f);
  const std::size_t lower = at<std::uint16_t>(page.data() + 12), upper = at<std::uint16_t>(page.data() + 14);
  std::string problem;
  if (stated != number)
    problem = fmt::format("calls itself page {}", stated);
  else if (flags != expected)
    problem = fmt::format("page flags {:#x}, {:#x} expected", flags, expected);
  else if (lower < page_header || lower > upper || upper > page.size() || lower % 2)
    problem = fmt::format("free space from {} to {}", lower, upper);
  const std::size_t nodes = problem.empty() ? (lower - page_header) / 2 : 0;
  if (problem.empty() && nodes < (expected == branch_flag ? 2u : 1u))
    problem = fmt::format("{} nodes", nodes);
  for (std::size_t i = 0; i < nodes && problem.empty(); ++i) {
    const std::size_t offset = at<std::uint16_t>(page.data() + page_header + 2 * i);
    if (offset < upper || offset + node_header > page.size()) {
      problem = fmt::format("node {} at {}", i, offset);
      break;
    }
    const char* node = page.data() + offset;
    const std::size_t key_bytes = at<std::uint16_t>(node + 6);
    std::size_t needed = node_header + key_bytes;
    if (expected == leaf_flag)
      needed += at<std::uint16_t>(node + 4) & big_data ? 8 : at<std::uint16_t>(node) | std::size_t{at<std::uint16_t>(node + 2)} << 16;
    if (key_bytes > key_max || offset + needed > page.size())
      problem = fmt::format("node {} of {} bytes at {}", i, needed, offset);
  }
  if (problem.empty())
    return true;
  damaged(fmt::format("page {} ({}): {}", number, name, problem));
  return false;
}

void walker::check_key(std::string_view key, role what, std::uint64_t number, const std::string& name, counts& seen) {
  bool ascending = true;
  if (what == role::free_list) {
    ascending = key.size() == 8 && (!seen.has_key || at<std::uint64_t>(seen.last_key.data()) < at<std::uint64_t>(key.data()));
    if (key.size() != 8)
      return damaged(fmt::format("page {} ({}): a key of {} bytes", number, name, key.size()));
  } else {
    ascending = (!seen.has_key || std::string_view(seen.last_key) < key) && (!seen.has_floor || std::string_view(seen.floor) <= key);
  }
  seen.has_floor = false;
  if (!ascending)
    damaged(fmt::format("page {} ({}): keys are out of order", number, name));
  seen.last_key = key;
  seen.has_key = true;
}

void walker::free_pages(const char* data, std::size_t size, std::uint64_t number) {
  const std::size_t count = size >= 8 ? at<std::uint64_t>(data) : 0;
  if (size < 8 || count > size / 8 - 1)
    return damaged(fmt::format("page {} (free list): a list of {} pages in {} bytes", number, count, size));
  for (std::size_t i = 1; i <= count; ++i)
    free_.push_back(at<std::uint64_t>(data + 8 * i));
}

void walker::leaf_value(const char* node, std::uint64_t number, role what, const std::string& name, std::string_view key, counts& seen) {
  const auto flags = at<std::uint16_t>(node + 4);
  const std::size_t size = at<std::uint16_t>(node) | std::size_t{at<std::uint16_t>(node + 2)} << 16;
  const char* data = node + node_header + key.size();
  std::vector<char> elsewhere;
  if (flags & ~(big_data | (what == role::names ? sub_data : 0)) || flags & duplicate_data)
    return damaged(fmt::format("page {} ({}): node flags {:#x}", number, name, flags));
  if (flags & big_data) {
    const auto first = at<std::uint64_t>(data);
    const std::uint64_t count = (page_header - 1 + size) / meta_.page_bytes + 1;
    seen.overflows += count;
    if (!claim(first, count, fmt::format("page {} ({})", number, name)) || !read_page(first, elsewhere))
      return;
    const auto page_flags = static_cast<std::uint16_t>(at<std::uint16_t>(elsewhere.data() + 10) & 0x6f);
    if (at<std::uint64_t>(elsewhere.data()) != first || page_flags != overflow_flag || at<std::uint32_t>(elsewhere.data() + 12) != count)
      return damaged(fmt::format("page {} ({}): is not the overflow page of {} pages that page {} names", first, name, count, number));
    if (what == role::free_list) {
      elsewhere.resize(count * meta_.page_bytes);
      if (::pread(descriptor_, elsewhere.data(), elsewhere.size(), static_cast<off_t>(first * meta_.page_bytes)) !=
          static_cast<ssize_t>(elsewhere.size()))
        return damaged(fmt::format("page {} (free list): cannot be read", first));
    }
    data = elsewhere.data() + page_header;
  }
  if (what == role::free_list)
    free_pages(data, size, number);
  if (flags & sub_data) {
    if (size != 48)
      return damaged(fmt::format("page {} ({}): a table's description of {} bytes", number, name, size));
    walk_tree(tree::read(data), role::table, std::string(key));
  }
}

void walker::walk_page(std::uint64_t number, unsigned level, const tree& t, role what, const std::string& name, counts& seen) {
  const bool leaf = level + 1 == t.depth;
  if (!claim(number, 1, name))
    return;
  if (leaf && what == role::table && depth_ == page_depth::branches) {
    seen.skipped_leaves = true;
    return;
  }
  std::vector<char> page;
  if (!read_page(number, page) || !check_layout(page, number, leaf ? leaf_flag : branch_flag, name))
    return;
  ++(leaf ? seen.leaves : seen.branches);
  const std::size_t nodes = (at<std::uint16_t>(page.data() + 12) - page_header) / 2;
  for (std::size_t i = 0; i < nodes; ++i) {
    const char* node = page.data() + at<std::uint16_t>(page.data() + page_header + 2 * i);
    const std::string_view key(node + node_header, at<std::uint16_t>(node + 6));
    if (leaf) {
      ++seen.entries;
      check_key(key, what, number, name, seen);
      leaf_value(node, number, what, name, key, seen);
      continue;
    }
    const std::uint64_t child = at<std::uint16_t>(node) | std::uint64_t{at<std::uint16_t>(node + 2)} << 16 |
                                std::uint64_t{at<std::uint16_t>(node + 4)} << 32;
    if (i > 0 && seen.has_key && what != role::free_list && !(std::string_view(seen.last_key) < key))
      damaged(fmt::format("page {} ({}): a branch's keys are out of order", number, name));
    if (i > 0) {
      seen.floor = key;
      seen.has_floor = true;
    }
    walk_page(child, level + 1, t, what, name, seen);
    if (report_.damage.size() >= damage_max)
      return;
  }
}

void walker::walk_tree(const tree& t, role what, const std::string& name) {
  if (t.root == no_page) {
    if (t.entries || t.depth)
      damaged(fmt::format("{}: {} entries and no root page", name, t.entries));
    return;
  }
  if (t.depth == 0 || t.depth > 32) // LMDB's cursor stack
    return damaged(fmt::format("{}: a depth of {}", name, t.depth));
  const std::uint16_t allowed = what == role::free_list ? 0x08 : 0; // MDB_INTEGERKEY; no table of ours has flags
  if (what != role::names && (t.flags & 0x7fff) != allowed)
    return damaged(fmt::format("{}: table flags {:#x}", name, t.flags));
  counts seen;
  walk_page(t.root, 0, t, what, name, seen);
  if (!seen.skipped_leaves && (seen.entries != t.entries || seen.leaves != t.leaves || seen.overflows != t.overflows))
    damaged(fmt::format("{}: {} entries in {} leaf and {} overflow pages, {} in {} and {} expected", name, seen.entries, seen.leaves,
                        seen.overflows, t.entries, t.leaves, t.overflows));
  if (seen.branches != t.branches)
    damaged(fmt::format("{}: {} branch pages, {} expected", name, seen.branches, t.branches));
}

result<page_report> walker::run(std::uint64_t transaction) {
  meta both[2];
  both[0] = read_meta(0);
  meta_.page_bytes = both[0].good ? both[0].page_bytes : 0;
  both[1] = read_meta(1);
  for (int i = 0; i < 2; ++i)
    if (!both[i].good)
      damaged(fmt::format("meta page {}: {}", i, both[i].problem));
  if (report_.damage.empty()) {
    const std::uint64_t a = both[0].transaction, b = both[1].transaction;
    // Transaction n lies in meta page n % 2, beside n - 1: otherwise LMDB would silently take an older state for the newest.
    if (!(a == 0 && b == 0) && (a % 2 != 0 || b % 2 != 1 || (a > b ? a - b : b - a) != 1) && !(a == 0 && b == 1))
      damaged(fmt::format("meta pages: transactions {} and {}, consecutive ones expected", a, b));
    if (both[0].page_bytes != both[1].page_bytes)
      damaged("meta pages: they differ in page size");
  }
  if (!report_.damage.empty())
    return report_;
  meta_ = both[1].transaction > both[0].transaction ? both[1] : both[0];
  if (transaction && meta_.transaction != transaction)
    meta_ = both[meta_.transaction == both[0].transaction ? 1 : 0];
  if (transaction && meta_.transaction != transaction)
    return error{errc::not_found, fmt::format("transaction {} is not in a meta page any more", transaction)};
  report_.transaction = meta_.transaction;
  if (depth_ == page_depth::roots)
    return report_;
  if (meta_.last_page * meta_.page_bytes > file_bytes_ + (std::uint64_t{1} << 30))
    damaged(fmt::format("the file has {} bytes, the last page is {}: truncated", file_bytes_, meta_.last_page));
  if (!report_.damage.empty())
    return report_;
  if ((meta_.last_page + 1) * meta_.page_bytes > file_bytes_)
    depth_ = page_depth::all; // pages that were never needed may be missing at the end: see whether others are
  used_.assign(meta_.last_page + 1, false);
  walk_tree(meta_.free_list, role::free_list, "free list");
  walk_tree(meta_.names, role::names, "names");
  std::sort(free_.begin(), free_.end());
  for (std::size_t i = 0; i < free_.size(); ++i)
    if (free_[i] < 2 || free_[i] > meta_.last_page || used_[free_[i]] || (i && free_[i] == free_[i - 1]))
      damaged(fmt::format("free list: page {} is not free", free_[i]));
  if (dropped_)
    report_.damage.push_back(fmt::format("and {} more", dropped_));
  return report_;
}

} // namespace

result<page_report> check_pages(const std::filesystem::path& file, page_depth depth, std::uint64_t transaction) {
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return error{errno == ENOENT ? errc::not_found : errno == EACCES ? errc::configuration : errc::io,
                 file.string() + ": " + std::strerror(errno)};
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor);
    return error{errc::configuration, file.string() + ": is not a regular file"};
  }
  auto report = walker(descriptor, static_cast<std::uint64_t>(status.st_size), depth).run(transaction);
  ::close(descriptor);
  return report;
}

} // namespace kevolve::kb
