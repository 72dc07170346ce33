// Runs a method of a .pte on raw float32 files: runner PROGRAM METHOD OUTPUT INPUT SHAPE [INPUT SHAPE ...], shapes as 1x1x24x32.
// Linked against the _portable_lib of ExecuTorch's Python wheel, which exports the runtime and XNNPACK.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include <executorch/runtime/core/data_loader.h>
#include <executorch/runtime/core/evalue.h>
#include <executorch/runtime/core/exec_aten/exec_aten.h>
#include <executorch/runtime/executor/memory_manager.h>
#include <executorch/runtime/executor/method.h>
#include <executorch/runtime/executor/program.h>
#include <executorch/runtime/platform/runtime.h>

using namespace executorch::runtime;
using executorch::aten::ScalarType;
using executorch::aten::Tensor;
using executorch::aten::TensorImpl;

static std::vector<char> read(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) { std::fprintf(stderr, "%s: cannot be read\n", path); std::exit(2); }
  return {std::istreambuf_iterator<char>(file), {}};
}


template <class T> static T checked(Result<T>&& result, const char* what) {
  if (!result.ok()) { std::fprintf(stderr, "%s: error 0x%x\n", what, unsigned(result.error())); std::exit(3); }
  return std::move(result.get());
}

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  runtime_init();
  alignas(64) static std::vector<char> content = read(argv[1]);
  char* aligned = static_cast<char*>(std::aligned_alloc(64, (content.size() + 63) / 64 * 64));
  std::copy(content.begin(), content.end(), aligned);
  struct Aligned final : DataLoader {
    char* data; size_t length;
    Result<FreeableBuffer> load(size_t offset, size_t size, const SegmentInfo&) const override {
      return FreeableBuffer(data + offset, size, nullptr);
    }
    Result<size_t> size() const override { return length; }
  } loader;
  loader.data = aligned;
  loader.length = content.size();
  Program program = checked(Program::load(&loader), "program");
  MethodMeta meta = checked(program.method_meta(argv[2]), "method");

  std::vector<std::vector<uint8_t>> buffers;
  std::vector<Span<uint8_t>> spans;
  for (size_t i = 0; i < meta.num_memory_planned_buffers(); i++) {
    buffers.emplace_back(checked(meta.memory_planned_buffer_size(i), "buffer") + 64);
    spans.emplace_back(buffers.back().data(), buffers.back().size());
  }
  HierarchicalAllocator planned({spans.data(), spans.size()});
  std::vector<uint8_t> pool(64 << 20), scratch(64 << 20);
  MemoryAllocator method_allocator(pool.size(), pool.data()), temporary(scratch.size(), scratch.data());
  MemoryManager memory(&method_allocator, &planned, &temporary);
  Method method = checked(program.load_method(argv[2], &memory), "load");

  std::vector<std::vector<char>> contents;
  std::vector<std::vector<TensorImpl::SizesType>> shapes;
  std::vector<std::vector<TensorImpl::DimOrderType>> orders;
  std::vector<std::unique_ptr<TensorImpl>> tensors;
  for (int i = 4; i + 1 < argc; i += 2) {
    contents.push_back(read(argv[i]));
    std::vector<TensorImpl::SizesType> shape;
    for (char* at = argv[i + 1]; *at; at += *at == 'x') shape.push_back(std::strtol(at, &at, 10));
    std::vector<TensorImpl::DimOrderType> order(shape.size());
    for (size_t axis = 0; axis < order.size(); axis++) order[axis] = axis;
    shapes.push_back(shape);
    orders.push_back(order);
  }
  for (size_t i = 0; i < contents.size(); i++) {
    tensors.emplace_back(new TensorImpl(
        ScalarType::Float, shapes[i].size(), shapes[i].data(), contents[i].data(), orders[i].data()));
    if (method.set_input(EValue(Tensor(tensors[i].get())), i) != Error::Ok) {
      std::fprintf(stderr, "input %zu: does not fit\n", i);
      return 3;
    }
  }
  if (method.execute() != Error::Ok) { std::fprintf(stderr, "execution failed\n"); return 3; }
  const Tensor& out = method.get_output(0).toTensor();
  std::ofstream(argv[3], std::ios::binary).write(static_cast<const char*>(out.const_data_ptr()), out.nbytes());
  return 0;
}
