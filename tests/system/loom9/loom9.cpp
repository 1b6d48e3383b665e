// The toolchain of a device that does not exist: an assembler that checks a program, an emulator that runs it and a profiler that counts what it
// does. It stands for what a vendor ships; kevolve is told of it by loom9.toml alone. Reads the manifest that kevolve lays beside the inputs.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

namespace {

constexpr std::size_t most_instructions = 64;
constexpr long widest_strip = 16;

[[noreturn]] void stop(const std::string& why) {
  std::cerr << why << "\n";
  std::exit(1);
}

enum class verb { seti, addi, zero, ld, st, add, mul, wsum, blt, end };
const std::map<std::string, verb> verbs{{"seti", verb::seti}, {"addi", verb::addi}, {"zero", verb::zero}, {"ld", verb::ld}, {"st", verb::st},
                                        {"add", verb::add}, {"mul", verb::mul}, {"wsum", verb::wsum}, {"blt", verb::blt}, {"end", verb::end}};

struct operand { // of an index: a number, an axis or a register
  long number = 0;
  std::string axis;
  int index = -1;
};
struct instruction {
  verb what = verb::end;
  int scalar = 0, other = 0, index = 0, line = 0;
  bool output = false;
  std::size_t tensor = 0;
  operand value;
  std::string label;
  std::size_t to = 0;
};

class assembler {
public:
  explicit assembler(const std::string& file) : file_(file), in_(file) {}

  std::vector<instruction> program() {
    std::map<std::string, std::size_t> labels;
    std::vector<instruction> all;
    for (std::string line; std::getline(in_, line);) {
      ++line_;
      std::istringstream words(line.substr(0, line.find(';')));
      std::string word;
      if (!(words >> word))
        continue;
      if (word.back() == ':') {
        labels[word.substr(0, word.size() - 1)] = all.size();
        continue;
      }
      const auto known = verbs.find(word);
      if (known == verbs.end())
        wrong("unknown instruction '" + word + "'");
      all.push_back(read(known->second, words));
      if (words >> word)
        wrong("'" + word + "' is one operand too many");
    }
    if (all.size() > most_instructions)
      wrong(std::to_string(all.size()) + " instructions: at most " + std::to_string(most_instructions));
    if (all.empty() || all.back().what != verb::end)
      wrong("the program does not finish with end");
    for (instruction& i : all)
      if (i.what == verb::blt) {
        const auto to = labels.find(i.label);
        if (to == labels.end() || to->second >= all.size())
          wrong("no label '" + i.label + "'");
        i.to = to->second;
      }
    return all;
  }

private:
  [[noreturn]] void wrong(const std::string& why) { stop("kernel.loom:" + std::to_string(line_) + ": error: " + why); }
  std::string next(std::istringstream& words) {
    std::string word;
    if (!(words >> word))
      wrong("an operand is missing");
    return word;
  }
  int number_of(const std::string& word, char kind) {
    if (word.size() != 2 || word[0] != kind || word[1] < '0' || word[1] > '7')
      wrong("'" + word + "' is no register " + kind + "0 to " + kind + "7");
    return word[1] - '0';
  }
  long integer(const std::string& word) {
    char* end = nullptr;
    const long n = std::strtol(word.c_str(), &end, 10);
    if (word.empty() || *end)
      wrong("'" + word + "' is no number");
    return n;
  }
  operand value(const std::string& word) {
    operand o;
    if (word[0] == '$')
      o.axis = word.substr(1);
    else if (word[0] == 'i')
      o.index = number_of(word, 'i');
    else
      o.number = integer(word);
    return o;
  }
  void place(const std::string& word, instruction& i) {
    const auto open = word.find('[');
    i.output = word.starts_with("out");
    if (open == word.npos || word.back() != ']' || (!i.output && !word.starts_with("in")))
      wrong("'" + word + "' is no element such as in0[i0]");
    const std::size_t from = i.output ? 3 : 2;
    i.tensor = static_cast<std::size_t>(integer(word.substr(from, open - from)));
    i.index = number_of(word.substr(open + 1, word.size() - open - 2), 'i');
  }
  instruction read(verb what, std::istringstream& words) {
    instruction i;
    i.what = what;
    i.line = line_;
    switch (what) {
      case verb::seti:
      case verb::addi:
        i.index = number_of(next(words), 'i');
        i.value = value(next(words));
        break;
      case verb::zero: i.scalar = number_of(next(words), 's'); break;
      case verb::ld:
        i.scalar = number_of(next(words), 's');
        place(next(words), i);
        break;
      case verb::st:
        place(next(words), i);
        i.scalar = number_of(next(words), 's');
        break;
      case verb::add:
      case verb::mul:
        i.scalar = number_of(next(words), 's');
        i.other = number_of(next(words), 's');
        break;
      case verb::wsum:
        i.scalar = number_of(next(words), 's');
        place(next(words), i);
        i.value.number = integer(next(words));
        if (i.value.number < 1 || i.value.number > widest_strip)
          wrong("a strip of " + std::to_string(i.value.number) + " elements: at most " + std::to_string(widest_strip));
        break;
      case verb::blt:
        i.index = number_of(next(words), 'i');
        i.value = value(next(words));
        i.label = next(words);
        break;
      case verb::end: break;
    }
    return i;
  }

  std::string file_;
  std::ifstream in_;
  int line_ = 0;
};

struct tensor {
  std::string file;
  std::vector<float> data;
};

struct machine {
  nlohmann::json manifest;
  std::vector<tensor> inputs, outputs;
  std::uint64_t instructions = 0, loads = 0, strips = 0, strip_elements = 0;

  machine(const std::string& folder) {
    std::ifstream in(folder + "/manifest.json");
    manifest = nlohmann::json::parse(in);
    for (const char* side : {"inputs", "outputs"})
      for (const auto& t : manifest[side]) {
        if (t["dtype"] != "float32")
          stop("only float32 here");
        std::size_t n = 1;
        for (const auto& extent : t["shape"])
          n *= extent.get<std::size_t>();
        tensor one{t["file"], std::vector<float>(n)};
        if (std::string(side) == "inputs") {
          std::ifstream bytes(folder + "/" + one.file, std::ios::binary);
          bytes.read(reinterpret_cast<char*>(one.data.data()), static_cast<std::streamsize>(n * sizeof(float)));
        }
        (std::string(side) == "inputs" ? inputs : outputs).push_back(std::move(one));
      }
  }

  float* element(const instruction& i, const long* index, long width) {
    auto& all = i.output ? outputs : inputs;
    const long at = index[i.index];
    if (i.tensor >= all.size() || at < 0 || at + width > static_cast<long>(all[i.tensor].data.size()))
      stop("kernel.loom:" + std::to_string(i.line) + ": fault: element " + std::to_string(at) + " is not there");
    return all[i.tensor].data.data() + at;
  }

  void run(const std::vector<instruction>& program) {
    for (tensor& t : outputs) // what a call before has written is of no use to this one
      std::fill(t.data.begin(), t.data.end(), std::numeric_limits<float>::quiet_NaN());
    double scalar[8] = {};
    long index[8] = {};
    const auto valued = [&](const operand& o) { return o.index >= 0 ? index[o.index] : o.axis.empty() ? o.number : manifest["axes"].at(o.axis).get<long>(); };
    std::vector<operand> known(program.size());
    for (std::size_t k = 0; k < program.size(); ++k) {
      known[k] = program[k].value;
      if (known[k].index < 0)
        known[k] = {valued(known[k]), "", -1};
    }
    for (std::size_t at = 0;; ++at) {
      const instruction& i = program[at];
      const long value = known[at].index >= 0 ? index[known[at].index] : known[at].number;
      ++instructions;
      switch (i.what) {
        case verb::seti: index[i.index] = value; break;
        case verb::addi: index[i.index] += value; break;
        case verb::zero: scalar[i.scalar] = 0; break;
        case verb::ld: scalar[i.scalar] = *element(i, index, 1), ++loads; break;
        case verb::st: *element(i, index, 1) = static_cast<float>(scalar[i.scalar]); break;
        case verb::add: scalar[i.scalar] += scalar[i.other]; break;
        case verb::mul: scalar[i.scalar] *= scalar[i.other]; break;
        case verb::wsum: {
          const float* from = element(i, index, value);
          for (long k = 0; k < value; ++k)
            scalar[i.scalar] += from[k];
          ++strips, strip_elements += static_cast<std::uint64_t>(value);
          break;
        }
        case verb::blt:
          if (index[i.index] < value)
            at = i.to - 1; // the loop's step follows
          break;
        case verb::end: return;
      }
    }
  }

  void write(const std::string& folder) const {
    for (const tensor& t : outputs)
      std::ofstream(folder + "/" + t.file, std::ios::binary).write(reinterpret_cast<const char*>(t.data.data()), static_cast<std::streamsize>(t.data.size() * sizeof(float)));
  }
};

} // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() == 3 && words[0] == "assemble") {
    assembler(words[1]).program();
    std::ifstream in(words[1]);
    std::ofstream(words[2]) << in.rdbuf();
    return 0;
  }
  if (words.size() != 5 || (words[0] != "run" && words[0] != "profile"))
    stop("loom9 assemble SOURCE ARTIFACT | run ARTIFACT INPUTS OUTPUTS ITERATIONS | profile ARTIFACT INPUTS OUTPUTS REPORT");
  const auto program = assembler(words[1]).program();
  machine m(words[2]);
  const long times = words[0] == "run" ? std::atol(words[4].c_str()) : 1;
  for (long k = 0; k < times; ++k)
    m.run(program);
  m.write(words[3]);
  if (words[0] == "profile")
    std::ofstream(words[4]) << "emulated Loom 9: " << m.instructions << " instructions, " << m.loads << " single loads, " << m.strips << " strips"
                            << (m.strips ? " of " + std::to_string(m.strip_elements / m.strips) + " elements" : std::string()) << "\n";
  return 0;
}
