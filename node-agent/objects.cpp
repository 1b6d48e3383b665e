#include "node-agent/objects.hpp"

#include "node-agent/process.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <cxxabi.h>
#include <elf.h>
#include <memory>
#include <set>

namespace kevolve::agent {
namespace {

using namespace std::string_view_literals;

// <math.h>: each also with f or l behind it.
constexpr std::array math{
    "sin"sv, "cos"sv, "tan"sv, "asin"sv, "acos"sv, "atan"sv, "atan2"sv, "sinh"sv, "cosh"sv, "tanh"sv, "asinh"sv, "acosh"sv, "atanh"sv, "exp"sv, "exp2"sv, "exp10"sv,
    "expm1"sv, "log"sv, "log2"sv, "log10"sv, "log1p"sv, "logb"sv, "ilogb"sv, "pow"sv, "sqrt"sv, "cbrt"sv, "hypot"sv, "erf"sv, "erfc"sv, "tgamma"sv, "lgamma"sv,
    "floor"sv, "ceil"sv, "round"sv, "roundeven"sv, "trunc"sv, "rint"sv, "nearbyint"sv, "lround"sv, "llround"sv, "lrint"sv, "llrint"sv, "fmod"sv, "remainder"sv,
    "remquo"sv, "fma"sv, "fmax"sv, "fmin"sv, "fdim"sv, "fabs"sv, "copysign"sv, "nan"sv, "nextafter"sv, "nexttoward"sv, "ldexp"sv, "frexp"sv, "modf"sv, "scalbn"sv,
    "scalbln"sv, "sincos"sv, "j0"sv, "j1"sv, "jn"sv, "y0"sv, "y1"sv, "yn"sv, "lgamma_r"sv, "__isnan"sv, "__isinf"sv, "__finite"sv, "__signbit"sv, "__fpclassify"sv, "cabs"sv, "carg"sv, "cexp"sv, "clog"sv, "cpow"sv, "csqrt"sv, "csin"sv, "ccos"sv, "ctan"sv, "csinh"sv, "ccosh"sv, "ctanh"sv,
    "casin"sv, "cacos"sv, "catan"sv, "cproj"sv, "creal"sv, "cimag"sv, "conj"sv};

constexpr std::array whole{
    // memory and plain algorithms of the C library
    "memcpy"sv, "memmove"sv, "memset"sv, "memcmp"sv, "bcmp"sv, "memchr"sv, "strlen"sv, "malloc"sv, "calloc"sv, "realloc"sv, "free"sv, "aligned_alloc"sv, "posix_memalign"sv,
    "memalign"sv, "__memcpy_chk"sv, "__memmove_chk"sv, "__memset_chk"sv, "qsort"sv, "bsearch"sv, "abs"sv, "labs"sv, "llabs"sv, "abort"sv,
    "__assert_fail"sv, "_ZSt21__glibcxx_assert_failPKciS0_S0_"sv, "strcmp"sv, "memrchr"sv, "mempcpy"sv, "ffs"sv, "ffsl"sv, "ffsll"sv, "__libc_single_threaded"sv, "__stack_chk_fail"sv, "__tls_get_addr"sv, "_GLOBAL_OFFSET_TABLE_"sv, "__dso_handle"sv,
    // floating-point environment: the process's own
    "fesetround"sv, "fegetround"sv, "feclearexcept"sv, "fetestexcept"sv, "feraiseexcept"sv, "feholdexcept"sv, "fesetenv"sv, "fegetenv"sv, "feupdateenv"sv,
    // C++: memory, exceptions, local statics
    "_Znwm"sv, "_Znam"sv, "_ZdlPv"sv, "_ZdlPvm"sv, "_ZdaPv"sv, "_ZdaPvm"sv, "_ZnwmSt11align_val_t"sv, "_ZnamSt11align_val_t"sv, "_ZdlPvSt11align_val_t"sv,
    "_ZdlPvmSt11align_val_t"sv, "_ZdaPvSt11align_val_t"sv, "_ZdaPvmSt11align_val_t"sv, "_ZnwmRKSt9nothrow_t"sv, "_ZnamRKSt9nothrow_t"sv,
    "_ZnwmSt11align_val_tRKSt9nothrow_t"sv, "_ZnamSt11align_val_tRKSt9nothrow_t"sv, "_ZSt7nothrow"sv, "_ZdlPvRKSt9nothrow_t"sv, "_ZdaPvRKSt9nothrow_t"sv,
    "__cxa_guard_acquire"sv, "__cxa_guard_release"sv, "__cxa_guard_abort"sv, "__cxa_begin_catch"sv, "__cxa_end_catch"sv, "__cxa_allocate_exception"sv,
    "__cxa_free_exception"sv, "__cxa_throw"sv, "__cxa_rethrow"sv, "__cxa_pure_virtual"sv, "__cxa_throw_bad_array_new_length"sv, "__cxa_atexit"sv,
    "__cxa_get_exception_ptr"sv, "__cxa_bad_cast"sv, "__cxa_bad_typeid"sv, "__cxa_init_primary_exception"sv, "__dynamic_cast"sv, "__gxx_personality_v0"sv, "__gcc_personality_v0"sv,
    "_Unwind_Resume"sv, "_Unwind_Resume_or_Rethrow"sv, "_ZSt9terminatev"sv, "_ZSt11_Hash_bytesPKvmm"sv, "__cpu_model"sv, "__cpu_indicator_init"sv, "__cpu_features2"sv,
    // libgcc's comparisons of quadruple precision
    "__eqtf2"sv, "__netf2"sv, "__lttf2"sv, "__letf2"sv, "__gttf2"sv, "__getf2"sv};

// OpenMP of GCC and of LLVM, vector math, type information, and what the standard library's containers call.
constexpr std::array beginnings{"GOMP_"sv, "omp_"sv, "__kmpc_"sv, "_ZGV"sv, "_ZTI"sv, "_ZTS"sv, "_ZTV"sv, "_ZNKSt8__detail20_Prime_rehash_policy"sv, "_ZNSt9exception"sv,
                                "_ZNKSt9exception"sv, "_ZNSt13runtime_error"sv, "_ZNKSt13runtime_error"sv, "_ZNSt11logic_error"sv, "_ZNKSt11logic_error"sv,
                                "_ZNSt9bad_alloc"sv, "_ZNSt12out_of_range"sv, "_ZNSt12length_error"sv, "_ZNSt16invalid_argument"sv, "_ZNSt12domain_error"sv, "_ZNSt8bad_cast"sv, "_ZNSt8__detail15_List_node_base"sv};

// libgcc's arithmetic: __divti3, __extendhfsf2, …
constexpr std::array arithmetic{"__extend"sv, "__trunc"sv, "__float"sv, "__fix"sv, "__mul"sv, "__div"sv, "__udiv"sv, "__mod"sv, "__umod"sv, "__pow"sv, "__popcount"sv,
                                "__parity"sv, "__clz"sv, "__ctz"sv, "__ffs"sv, "__bswap"sv, "__neg"sv, "__add"sv, "__sub"sv, "__ashl"sv, "__ashr"sv, "__lshr"sv,
                                "__cmp"sv, "__ucmp"sv, "__unord"sv};

template <std::size_t N>
bool one_of(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// GCC's machine modes end a helper's name: si, di, ti, hf, sf, df, xf, tf, sc, dc, xc, tc, hi, bf, and how many operands.
bool is_arithmetic(std::string_view name) {
  const bool begins = std::any_of(arithmetic.begin(), arithmetic.end(), [&](std::string_view b) { return name.starts_with(b); });
  return begins && name.size() < 20 && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == name.npos && name.find('_', 2) == name.npos;
}

std::string readable(const std::string& symbol) {
  int status = 0;
  std::unique_ptr<char, void (*)(void*)> name(abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status), std::free);
  return scrub(status == 0 && name ? name.get() : symbol, 200);
}

/// A relocatable file's tables, every offset checked: an assembler lets a source write any of them.
class elf_object {
public:
  explicit elf_object(const std::string& bytes) : bytes_(bytes) {
    if (!read(0, head_) || std::memcmp(head_.e_ident, ELFMAG, SELFMAG) != 0 || head_.e_ident[EI_CLASS] != ELFCLASS64 || head_.e_type != ET_REL ||
        head_.e_shentsize != sizeof(Elf64_Shdr))
      return;
    for (std::size_t i = 0; i < head_.e_shnum; ++i) {
      Elf64_Shdr s;
      if (!read(head_.e_shoff + i * sizeof s, s))
        return;
      sections_.push_back(s);
    }
    good_ = head_.e_shstrndx < sections_.size();
  }
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] const std::vector<Elf64_Shdr>& sections() const { return sections_; }
  [[nodiscard]] std::string name_of(const Elf64_Shdr& s) const { return text(sections_[head_.e_shstrndx], s.sh_name); }

  /// Calls f(name, symbol) for each symbol; false where a table is damaged.
  template <class F>
  bool each_symbol(F f) const {
    for (const Elf64_Shdr& table : sections_) {
      if (table.sh_type != SHT_SYMTAB)
        continue;
      if (table.sh_entsize != sizeof(Elf64_Sym) || table.sh_link >= sections_.size())
        return false;
      for (std::uint64_t i = 1; i < table.sh_size / sizeof(Elf64_Sym); ++i) {
        Elf64_Sym s;
        if (!read(table.sh_offset + i * sizeof s, s))
          return false;
        f(text(sections_[table.sh_link], s.st_name), s);
      }
    }
    return true;
  }

private:
  template <class T>
  bool read(std::uint64_t at, T& into) const {
    if (at > bytes_.size() || bytes_.size() - at < sizeof into)
      return false;
    std::memcpy(&into, bytes_.data() + at, sizeof into);
    return true;
  }
  [[nodiscard]] std::string text(const Elf64_Shdr& table, std::uint64_t at) const {
    if (table.sh_offset > bytes_.size() || at >= table.sh_size || at >= bytes_.size() - table.sh_offset)
      return {};
    const char* from = bytes_.data() + table.sh_offset + at;
    return {from, ::strnlen(from, std::min<std::uint64_t>(table.sh_size - at, bytes_.size() - table.sh_offset - at))};
  }

  const std::string& bytes_;
  Elf64_Ehdr head_{};
  std::vector<Elf64_Shdr> sections_;
  bool good_ = false;
};

bool runs_when_loaded(const std::string& name, std::uint32_t type) {
  constexpr std::array names{".init_array"sv, ".fini_array"sv, ".preinit_array"sv, ".ctors"sv, ".dtors"sv, ".init"sv, ".fini"sv};
  return type == SHT_INIT_ARRAY || type == SHT_FINI_ARRAY || type == SHT_PREINIT_ARRAY ||
         std::any_of(names.begin(), names.end(), [&](std::string_view n) { return name == n || (name.starts_with(n) && name[n.size()] == '.'); });
}

} // namespace

bool allowed_symbol(std::string_view name) {
  const bool suffixed = name.size() > 1 && (name.back() == 'f' || name.back() == 'l');
  return one_of(math, name) || (suffixed && one_of(math, name.substr(0, name.size() - 1))) || one_of(whole, name) || is_arithmetic(name) ||
         std::any_of(beginnings.begin(), beginnings.end(), [&](std::string_view b) { return name.starts_with(b); }) ||
         (name.starts_with("_ZSt") && (name.find("__throw_") != name.npos || name.find("_Rb_tree_") != name.npos)) ||
         name == "lgammaf_r" || name == "lgammal_r";
}

std::string refuse_objects(const std::vector<std::string>& objects) {
  std::set<std::string> defined, wanted;
  for (const std::string& bytes : objects) {
    const elf_object object(bytes);
    if (!object.good())
      return "the compiler made something that is no 64-bit ELF object";
    for (const Elf64_Shdr& s : object.sections())
      if (const std::string name = object.name_of(s); runs_when_loaded(name, s.sh_type) && s.sh_size > 0)
        return "the candidate has code that runs when it is loaded (section " + scrub(name, 60) +
               "): objects at namespace scope need constant initialisers; use constexpr, or a static inside a function";
    std::string bad;
    const bool whole_table = object.each_symbol([&](const std::string& name, const Elf64_Sym& s) {
      const auto type = ELF64_ST_TYPE(s.st_info), binding = ELF64_ST_BIND(s.st_info);
      if (type == STT_GNU_IFUNC)
        bad = "symbol '" + readable(name) + "' is resolved by code that runs when the candidate is loaded (IFUNC)";
      else if (s.st_shndx == SHN_UNDEF && !name.empty())
        wanted.insert(name);
      else if (binding != STB_LOCAL)
        defined.insert(name);
    });
    if (!whole_table)
      return "the object's symbol table is damaged";
    if (!bad.empty())
      return bad;
  }
  std::string refused;
  for (const std::string& name : wanted)
    if (defined.count(name) == 0 && !allowed_symbol(name))
      refused += (refused.empty() ? "'" : ", '") + readable(name) + "'";
  if (refused.empty())
    return {};
  return "the candidate may not use " + refused.substr(0, 1000) + ": allowed are the math library, memory, OpenMP and the compiler's run-time support";
}

} // namespace kevolve::agent
