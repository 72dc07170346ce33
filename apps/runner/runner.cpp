// Runs a .pte for other languages' tests: `runner PROGRAM` answers requests on standard input until it ends.
//
// A request is a method's name and its input tensors, an answer all output tensors. All numbers are of 32 bits,
// little-endian. Request: length of the name, the name, number of tensors, tensors. Tensor: number of sides, sides,
// float32 values. Answer: 0, the number of tensors and the tensors; or an error number (ExecuTorch's own, or 1) and nothing, and the program ends.
//
// Linked against the _portable_lib of ExecuTorch's Python wheel, which exports the runtime with XNNPACK (build.sh).
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <executorch/runtime/core/data_loader.h>
#include <executorch/runtime/core/evalue.h>
#include <executorch/runtime/core/exec_aten/exec_aten.h>
#include <executorch/runtime/core/exec_aten/util/tensor_util.h>
#include <executorch/runtime/executor/memory_manager.h>
#include <executorch/runtime/executor/method.h>
#include <executorch/runtime/executor/program.h>
#include <executorch/runtime/platform/runtime.h>

using namespace executorch::runtime;
using executorch::aten::Tensor;

namespace executorch::runtime {
[[noreturn]] void runtime_abort() { std::abort(); }  // the wheel leaves it to the program
}  // namespace executorch::runtime

namespace {

void write(const void* data, size_t size) { std::fwrite(data, 1, size, stdout); }

[[noreturn]] void fail(uint32_t code, const std::string& why) {
  std::fprintf(stderr, "runner: %s (error 0x%x)\n", why.c_str(), code);
  write(&code, sizeof code);
  std::fflush(stdout);
  std::exit(3);
}

template <class T> T checked(Result<T>&& result, const char* what) {
  if (!result.ok()) fail(uint32_t(result.error()), what);
  return std::move(result.get());
}

bool read(void* data, size_t size) { return std::fread(data, 1, size, stdin) == size; }

uint32_t read_number() {
  uint32_t number = 0;
  if (!read(&number, sizeof number)) fail(1, "the request ends too early");
  return number;
}

struct Memory final : DataLoader {
  char* data = nullptr;
  size_t length = 0;

  explicit Memory(const char* path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) fail(1, std::string(path) + " cannot be read");
    std::vector<char> content{std::istreambuf_iterator<char>(file), {}};
    length = content.size();
    data = static_cast<char*>(std::aligned_alloc(64, (length + 63) / 64 * 64));
    std::memcpy(data, content.data(), length);
  }
  Result<FreeableBuffer> load(size_t offset, size_t size, const SegmentInfo&) const override {
    return FreeableBuffer(data + offset, size, nullptr);
  }
  Result<size_t> size() const override { return length; }
};

// A loaded method and the memory that it was planned for.
struct Loaded {
  std::vector<std::vector<uint8_t>> buffers;
  std::vector<Span<uint8_t>> spans;
  std::vector<uint8_t> pool = std::vector<uint8_t>(16 << 20), scratch = std::vector<uint8_t>(16 << 20);
  std::unique_ptr<HierarchicalAllocator> planned;
  std::unique_ptr<MemoryAllocator> own, temporary;
  std::unique_ptr<MemoryManager> memory;
  std::unique_ptr<Method> method;

  Loaded(const Program& program, const char* name) {
    MethodMeta meta = checked(program.method_meta(name), "no such method");
    for (size_t i = 0; i < meta.num_memory_planned_buffers(); i++) {
      buffers.emplace_back(size_t(checked(meta.memory_planned_buffer_size(i), "planned memory")) + 64);
    }
    for (auto& buffer : buffers) spans.emplace_back(buffer.data(), buffer.size());
    planned = std::make_unique<HierarchicalAllocator>(Span<Span<uint8_t>>(spans.data(), spans.size()));
    own = std::make_unique<MemoryAllocator>(pool.size(), pool.data());
    temporary = std::make_unique<MemoryAllocator>(scratch.size(), scratch.data());
    memory = std::make_unique<MemoryManager>(own.get(), planned.get(), temporary.get());
    method = std::make_unique<Method>(checked(program.load_method(name, memory.get()), "the method does not load"));
  }

  // Fill the method's own input tensor: its shape must be the one given, or one that it can be resized to.
  void fill(size_t index) {
    if (index >= method->inputs_size()) fail(1, "too many inputs");
    EValue input = method->get_input(index);
    Tensor tensor = input.toTensor();
    size_t sides = read_number(), count = 1;
    if (sides != size_t(tensor.dim())) fail(1, "an input has another number of sides");
    std::vector<int32_t> sizes(sides);
    for (size_t i = 0; i < sides; i++) {
      sizes[i] = int32_t(read_number());
      count *= size_t(sizes[i]);
    }
    if (Error error = resize_tensor(tensor, {sizes.data(), sides}); error != Error::Ok) {
      fail(uint32_t(error), "an input has another shape");
    }
    values.resize(count);
    if (!read(values.data(), count * sizeof(float))) fail(1, "the request ends too early");
    std::memcpy(tensor.mutable_data_ptr<float>(), values.data(), count * sizeof(float));
    if (Error error = method->set_input(input, index); error != Error::Ok) fail(uint32_t(error), "an input does not fit");
  }

  std::vector<float> values;
};

void answer(const Tensor& out) {
  uint32_t sides = uint32_t(out.dim());
  size_t count = 1;
  write(&sides, sizeof sides);
  for (size_t i = 0; i < sides; i++) {
    uint32_t side = uint32_t(out.sizes()[i]);
    write(&side, sizeof side);
    count *= side;
  }
  write(out.const_data_ptr<float>(), count * sizeof(float));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: runner PROGRAM < requests > answers\n");
    return 2;
  }
  runtime_init();
  Memory content(argv[1]);
  Program program = checked(Program::load(&content), "no program of this ExecuTorch");
  std::map<std::string, std::unique_ptr<Loaded>> methods;
  for (uint32_t length; read(&length, sizeof length);) {
    if (length > 200) fail(1, "a method's name is too long");
    std::string name(length, ' ');
    if (!read(name.data(), length)) fail(1, "the request ends too early");
    std::unique_ptr<Loaded>& loaded = methods[name];
    if (!loaded) loaded = std::make_unique<Loaded>(program, name.c_str());
    uint32_t inputs = read_number();
    for (size_t i = 0; i < inputs; i++) loaded->fill(i);
    if (inputs != loaded->method->inputs_size()) fail(1, "too few inputs");
    if (Error error = loaded->method->execute(); error != Error::Ok) fail(uint32_t(error), "execution failed");
    uint32_t head[] = {0, uint32_t(loaded->method->outputs_size())};
    write(head, sizeof head);
    for (size_t i = 0; i < head[1]; i++) answer(loaded->method->get_output(i).toTensor());
    std::fflush(stdout);
  }
  return 0;
}
