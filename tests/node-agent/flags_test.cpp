#include "node-agent/compile.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace kevolve::agent;

TEST_CASE("flags that steer code generation are a candidate's own") {
  for (const char* flag : {"-O0", "-O3", "-Os", "-Og", "-Ofast", "-O", "-w", "-g0", "-pthread", "-pipe", "-pedantic", "-std=c++20", "-std=gnu99", "-Wall", "-Wno-unused", "-Wstack-usage=4096",
                           "-DTILE=8", "-DNAME", "-DRATE=0.5", "-D_X=a-b+c", "--param=max-unroll-times=8", "-march=native", "-mavx512f", "-mprefer-vector-width=512", "-mtune=znver3", "-mfma",
                           "-march=x86-64-v4+nofma", "-ffast-math", "-fno-fast-math", "-fopenmp", "-fopenmp-simd", "-funroll-loops", "-fno-exceptions", "-fvect-cost-model=unlimited",
                           "-falign-loops=64", "-ffp-contract=fast", "-fno-math-errno", "-fpermissive"}) {
    INFO("flag ", std::string(flag));
    CHECK(refuse_flag(flag) == "");
  }
}

TEST_CASE("each other flag is refused by name") {
  for (const char* flag : {"", "-", "O3", "-O33", "-Ofaster", "-O3x", "-O=1", "-O/", "-std=c++20/x", "-std=c++20;id", "-Wl,-rpath,/tmp", "-Wa,-a", "-Wp,-MD,/tmp/x", "-W,", "-Wx/y", "-D", "-DX=$(id)",
                           "-DX=/etc/passwd", "-DX=a b", "-DX=\"x\"", "--param=x/y", "--param", "--param=a b", "-m", "-mcpu=/x", "-march=native;id", "-mrecord-mcount", "-mllvm", "-mllvm=-x", "-mcmodel=large",
                           "-mstack-protector-guard=global", "-mtls-dialect=gnu2", "-mtls-direct-seg-refs", "-mfentry", "-mfentry-name=x", "-f", "-fplugin=x.so", "-fdump-tree-all", "-fprofile-generate", "-fno-", "-fno-no-inline",
                           "-fsanitize=address", "-flto", "-fpic/x", "-ffast-math/x", "-ffast-math x", "-finstrument-functions", "-fuse-ld=lld", "-fopenmp=/tmp/libx", "-fopenmp=@x", "@file", "-B/tmp", "-specs=x", "-include",
                           "-I/etc", "-Xlinker", "-L/tmp", "-lcurl", "-o", "-x", "-save-temps", "-wrapper", "-g", "-g1", "-pthreads", "/etc/passwd", "-E", "-S", "-c", "-v", "-nostdlib"}) {
    INFO("flag ", std::string(flag));
    const std::string found = refuse_flag(flag);
    CHECK(found.find("flag '" + std::string(flag) + "' is not on the list") == 0);
  }
}

TEST_CASE("a flag of any length and any bytes is named within 200 characters") {
  const std::string found = refuse_flag("-B" + std::string(5000, 'x') + "\x1b[31m");
  CHECK(found.find("not on the list") != std::string::npos);
  CHECK(found.size() < 300);
  CHECK(found.find('\x1b') == std::string::npos);
  CHECK(refuse_flag("-f\x1b[31mred").find('\x1b') == std::string::npos);
}

TEST_CASE("source paths of letters, digits and a few signs below their folder are a candidate's own") {
  for (const char* path : {"kernel.cpp", "a/b/c.h", "Kernel_2-x+y.cpp", "a..b.cpp", "kevolve.hpp", "kevolve_kernel.cpp", "x", "a/.hidden", "0"}) {
    INFO("path ", std::string(path));
    CHECK(refuse_path(path) == "");
  }
  CHECK(refuse_path(std::string(200, 'a')) == "");
}

TEST_CASE("every other source path is refused by name") {
  for (const char* path : {"", "/x.cpp", "-x.cpp", "@x.cpp", "../x.cpp", "a/../b.cpp", "a/..", "..", ".", "./x.cpp", "a/./b.cpp", "a//b.cpp", "a/", "a/-o.cpp", "kevolve.h", "kevolve-judge", "kevolve-", "a b.cpp",
                           "a\nb.cpp", "a;b.cpp", "a$b.cpp", "a\\b.cpp", "a:b.cpp", "a=b.cpp", "a,b.cpp", "\xc3\xbc.cpp", "a@b.cpp"}) {
    INFO("path ", std::string(path));
    CHECK(refuse_path(path).find("source path '") == 0);
    CHECK(refuse_path(path).find("is not allowed") != std::string::npos);
  }
  CHECK(refuse_path(std::string(201, 'a')) != "");
}
