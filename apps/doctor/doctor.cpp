// antiphon doctor: what this machine and this build have.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <torch/headeronly/version.h>

#include <cstdlib>
#include <fstream>
#include <string_view>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/early/cpu_quota.h>
#include <antiphon/kernels/cuda_table.h>
#include <antiphon/kernels/isa.h>
#include <antiphon/media/decode.h>
#include <antiphon/model/number_formats.h>
#include <antiphon/plugin/loader.h>
#include <antiphon/plugin/manifest.h>
#include <antiphon/plugin/sidecar.h>
#include <common/command.h>

namespace antiphon::apps {
namespace {

void line(const char* what, const std::string& value) { fmt::print("{:<12} {}\n", what, shown_lines(value)); }

std::string library_of(const void* symbol) {
  Dl_info info{};
  return dladdr(symbol, &info) && info.dli_fname ? info.dli_fname : "?";
}

std::string quota() {
  const double quota = early::cpu_quota();
  const auto limit = quota > 0 ? fmt::format("a cgroup's quota of {:g} processors", quota) : std::string("no quota");
  const char* spin = std::getenv("GOMP_SPINCOUNT");
  return fmt::format("{} processors for this process, {}; waiting threads spin {}", early::processors(), limit,
                     spin ? fmt::format("{} rounds (GOMP_SPINCOUNT)", spin) : std::string("as OpenMP chooses"));
}

std::string huge_pages() {
  std::string said;
  std::getline(std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled"), said);
  const auto begin = said.find('['), end = said.find(']');
  const auto set = begin < end && end != said.npos ? said.substr(begin + 1, end - begin - 1) : std::string("unknown");
  const char* tunables = std::getenv("GLIBC_TUNABLES");
  const bool asked = tunables && std::string_view(tunables).find("malloc.hugetlb=1") != std::string_view::npos;
  return fmt::format("the kernel's setting is {}; memory is {}marked for them (GLIBC_TUNABLES)", set,
                     asked ? "" : "not ");
}

std::string cuda() {
  if (!dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL)) return "off: this LibTorch has no CUDA library";
  if (!at::hasCUDA()) return "off: libtorch_cuda.so is there, and no CUDA driver or device answers";
  return fmt::format("{} device(s)", at::detail::getCUDAHooks().deviceCount());
}

// The tables of docs/performance.md are by these classes.
std::string processor_class() {
  switch (kernels::isa()) {
    case kernels::Isa::baseline: return "less than AVX2: it works, and no table has figures of it";
    case kernels::Isa::avx2: return "AVX2, no bf16 products: `./dev bench --isa avx2`";
    case kernels::Isa::avx512: return "AVX-512, no bf16 products: `./dev bench --isa avx512`";
    case kernels::Isa::avx512_bf16: break;
  }
  return __builtin_cpu_supports("amx-bf16") ? "bf16 products by AMX: `./dev bench --isa amx`"
                                            : "AVX-512 with bf16 products: `./dev bench`";
}

// LibTorch and our kernels may each be kept to less than the processor has.
std::string unlike_libtorch() {
  const auto theirs = at::get_cpu_capability();
  const bool wide = kernels::isa() >= kernels::Isa::avx512;
  if ((theirs == "AVX512") == wide && (theirs == "DEFAULT") == (kernels::isa() == kernels::Isa::baseline)) return {};
  return fmt::format("LibTorch computes with {}, our kernels with {}: set ATEN_CPU_CAPABILITY and ANTIPHON_ISA alike",
                     theirs, kernels::name_of(kernels::isa()));
}

std::string cuda_kernels() {
  const auto why = kernels::open_cuda_kernels();
  return why.empty() ? "there" : "off: " + why;
}

std::string nccl() {
  using Version = int (*)(int*);
  void* library = dlopen("libnccl.so.2", RTLD_NOW);
  const auto version_of = library ? reinterpret_cast<Version>(dlsym(library, "ncclGetVersion")) : nullptr;
  int version = 0;
  if (!version_of || version_of(&version) != 0) return "off: libnccl.so.2 is not found";
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

// The content too, which a list does not read.
std::string refusal_of(const plugin::Description& found) {
  if (!found.refusal.empty()) return found.refusal;
  try {
    plugin::check_content(found);
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

int run() {
  line("antiphon", ANTIPHON_VERSION);
  line("plugin ABI", fmt::format("{}, {}, build {}", ANTIPHON_PLUGIN_ABI, ANTIPHON_COMPILER, ANTIPHON_BUILD_TYPE));
  line("LibTorch",
       fmt::format("{} in {}", TORCH_VERSION, library_of(reinterpret_cast<const void*>(&at::globalContext))));
  line("CPU", fmt::format("{}, {} threads, our kernels for {}", at::get_cpu_capability(), at::get_num_threads(),
                          kernels::name_of(kernels::isa())));
  line(" ", "class: " + processor_class());
  if (const auto unlike = unlike_libtorch(); !unlike.empty()) line(" ", unlike);
  line(" ", quota());
  const auto formats = model::number_formats("auto", at::kCPU);
  line(" ", fmt::format("precision.compute = \"auto\" is {}: {}", model::name_of(formats), formats.reason));
  line("huge pages", huge_pages());
  line("CUDA", cuda());
  line("CUDA kernels", cuda_kernels());
  line("NCCL", nccl());
  line("FFmpeg", media::backend_version());
  std::error_code ignored;
  for (const auto& folder : plugin::search_path())
    line("plugins in", folder.string() + (std::filesystem::is_directory(folder, ignored) ? "" : " (not there)"));
  int refused = 0;
  for (const auto& found : plugin::discover()) {
    const auto refusal = refusal_of(found);
    line(" ", fmt::format("{} {}{}{}", found.name, found.version, refusal.empty() ? "" : ": refused: " + refusal,
                          found.doubt.empty() ? "" : ": taken by ANTIPHON_TRUST_PLUGINS, though " + found.doubt));
    refused += !refusal.empty();
  }
  return refused ? static_cast<int>(ErrorKind::plugin) : 0;
}

}  // namespace

void add_doctor(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand(
      "doctor", "show versions, devices, libraries and plugins; exit code 5 if a plugin is refused");
  command->callback([&action] { action = run; });
}

}  // namespace antiphon::apps
