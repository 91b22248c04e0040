#include <antiphon/weights/safetensors.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <csignal>
#include <ctime>

#include <optional>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/weights/test_folder.h>

using namespace antiphon;
using namespace antiphon::weights;
using Catch::Matchers::ContainsSubstring;

namespace {

// That this thread has computed: a busy disk or machine is not the parser's.
double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

std::string with_length(uint64_t length, const std::string& rest) {
  std::string bytes(8, '\0');
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(length >> (8 * i));
  return bytes + rest;
}

std::string file_of(const std::string& header, size_t data) {
  return with_length(header.size(), header + std::string(data, '\x01'));
}

std::string file_of(const nlohmann::json& entry) {
  if (entry.contains("raw_hex")) return from_hex(entry.at("raw_hex").get<std::string>());
  const auto header = entry.contains("header") ? entry.at("header").get<std::string>()
                                               : from_hex(entry.at("header_hex").get<std::string>());
  auto bytes = file_of(header, entry.at("data").get<size_t>());
  if (entry.contains("length"))
    bytes = with_length(std::stoull(entry.at("length").get<std::string>()), bytes.substr(8));
  return bytes;
}

// What the reader says about these bytes; nullopt if it accepts them.
std::optional<std::string> rejection(const TestFolder& folder, const std::string& bytes) {
  folder.write("x.safetensors", bytes);
  try {
    SafetensorsFile file(folder / "x.safetensors");
    return std::nullopt;
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::weights);
    CHECK_THAT(error.what(), ContainsSubstring((folder / "x.safetensors").string()));
    return error.what();
  }
}

// Bytes of memory that this process holds.
int64_t resident_bytes() {
  const auto text = [] {
    std::ostringstream out;
    out << std::ifstream("/proc/self/statm").rdbuf();
    return out.str();
  }();
  return std::stoll(text.substr(text.find(' '))) * 4096;
}

std::string save_error(const std::filesystem::path& path, const NamedTensors& tensors, const Metadata& metadata = {}) {
  try {
    save_safetensors(path, tensors, metadata);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("every hand-made file is taken or rejected for its own reason, within 50 ms and 10 MB") {
  const TestFolder folder;
  const auto cases =
      nlohmann::json::parse(read_file(ANTIPHON_SOURCE_DIR "/tests/parity/safetensors_cases.json", ErrorKind::data));
  size_t rejected = 0;
  for (const auto& entry : cases) {
    INFO(entry.at("name").get<std::string>());
    const auto bytes = file_of(entry);
    const auto memory = resident_bytes();
    const double start = thread_seconds();
    const auto error = rejection(folder, bytes);
    CHECK(thread_seconds() - start < 0.05);
    CHECK(resident_bytes() - memory < 10'000'000);
    REQUIRE(error.has_value() == !entry.at("error").is_null());
    if (!error) continue;
    CHECK_THAT(*error, ContainsSubstring(entry.at("error").get<std::string>()));
    CHECK(error->size() < 1000);
    ++rejected;
  }
  CHECK(rejected >= 90);
}

TEST_CASE("large hostile headers stay cheap") {
  const TestFolder folder;
  CHECK_THAT(rejection(folder, file_of(R"({"a":{"x":)" + std::string(1'000'000, '['), 0)).value(),
             ContainsSubstring("nested levels"));
  const std::string name(1'000'000, 'n');
  CHECK(rejection(folder, file_of(fmt::format(R"({{"{}":1}})", name), 0)).value().size() < 1000);
  std::string many = "{";
  for (size_t i = 0; i <= max_tensors; ++i)
    many += fmt::format(R"({}"{}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", i ? "," : "", i);
  CHECK_THAT(rejection(folder, file_of(many + "}", 0)).value(), ContainsSubstring("more than 1000000 tensors"));
}

TEST_CASE("what is not a regular file is an error that says so") {
  const TestFolder folder;
  ::mkfifo((folder / "pipe").c_str(), 0600);
  CHECK_THROWS_AS(SafetensorsFile(folder / "pipe"), Error);
  CHECK_THROWS_AS(SafetensorsFile(folder.path()), Error);
  CHECK_THROWS_AS(SafetensorsFile(folder / "none"), Error);
}

TEST_CASE("tensors are views of the file that outlive it; misaligned ones are copies") {
  const TestFolder folder;
  const auto value = at::arange(12, at::kFloat).view({4, 3});
  save_safetensors(folder / "a.safetensors", {{"w", value}});
  at::Tensor kept;
  {
    const SafetensorsFile file(folder / "a.safetensors");
    kept = file.tensor("w");
    CHECK(kept.const_data_ptr() == file.tensor("w").const_data_ptr());
    const auto rows = file.slice("w", 1, 3);
    CHECK(rows.const_data_ptr() == static_cast<const char*>(kept.const_data_ptr()) + 12);
    CHECK(at::equal(rows, value.narrow(0, 1, 2)));
    CHECK(file.slice("w", 2, 2).sizes() == at::IntArrayRef({0, 3}));
    CHECK_THROWS_AS(file.slice("w", 3, 5), Error);
    CHECK_THROWS_AS(file.slice("w", 2, 1), Error);
    CHECK_THROWS_AS(file.slice("w", -1, 1), Error);
    CHECK_THROWS_AS(file.tensor("v"), Error);
  }
  CHECK(at::equal(kept, value));

  const std::string header = R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  folder.write("b.safetensors", with_length(header.size() + 1, header + " " + std::string("\0\0\x80\x3f", 4)));
  REQUIRE((header.size() + 1 + 8) % 4 != 0);
  CHECK(SafetensorsFile(folder / "b.safetensors").tensor("w").item<float>() == 1);
}

TEST_CASE("a dtype or shape that LibTorch cannot hold is an error at the tensor") {
  const TestFolder folder;
  folder.write("a.safetensors", file_of(R"({"f":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}})", 1));
  CHECK_THROWS_AS(SafetensorsFile(folder / "a.safetensors").tensor("f"), Error);
  folder.write("b.safetensors",
               file_of(R"({"f":{"dtype":"U8","shape":[0,9223372036854775807,4],"data_offsets":[0,0]}})", 0));
  CHECK_THROWS_AS(SafetensorsFile(folder / "b.safetensors").tensor("f"), Error);
}

TEST_CASE("what is saved is read back, whatever its strides, in the reference's order") {
  const TestFolder folder;
  const auto base = at::arange(24, at::kFloat).view({2, 3, 4});
  const NamedTensors tensors{{"t", base.transpose(0, 2)},
                             {"u8", at::arange(3, at::kByte)},
                             {"scalar", at::scalar_tensor(2.5, at::kDouble)},
                             {"empty", at::empty({0, 7}, at::kHalf)},
                             {"s", base.select(1, 1)},
                             {"é\"\n", at::ones({1}, at::kLong)}};
  save_safetensors(folder / "a.safetensors", tensors, {{"format", "pt"}, {"k", "\x01 é"}});
  const SafetensorsFile file(folder / "a.safetensors");
  CHECK(file.metadata() == Metadata{{"format", "pt"}, {"k", "\x01 é"}});
  for (const auto& [name, tensor] : tensors) {
    CHECK(at::equal(file.tensor(name), tensor));
    CHECK(file.tensor(name).sizes() == tensor.sizes());
  }
  std::vector<std::string> names;
  for (const auto& info : file.tensors()) names.push_back(info.name);
  CHECK(names == std::vector<std::string>{"é\"\n", "scalar", "s", "t", "empty", "u8"});
}

TEST_CASE("what cannot be saved is refused and the old file stays") {
  const TestFolder folder;
  const auto path = folder / "a.safetensors";
  const auto ones = at::ones({2});
  save_safetensors(path, {{"a", ones}});
  const auto before = folder.read("a.safetensors");
  CHECK_THAT(save_error(path, {{"a", ones}, {"a", ones}}), ContainsSubstring("two tensors to save are called 'a'"));
  CHECK_THAT(save_error(path, {{"__metadata__", ones}}), ContainsSubstring("may not be called"));
  CHECK_THAT(save_error(path, {{"\xff", ones}}), ContainsSubstring("not UTF-8"));
  CHECK_THAT(save_error(path, {{"a", ones}}, {{"k", "\xff"}}), ContainsSubstring("must be UTF-8"));
  CHECK_THAT(save_error(path, {{"a", at::Tensor()}}), ContainsSubstring("has no values"));
  CHECK_THAT(save_error(path, {{"a", at::ones({2}, at::kMeta)}}), ContainsSubstring("has no values"));
  CHECK_THAT(save_error(path, {{"a", at::ones({2}, at::kComplexDouble)}}), ContainsSubstring("cannot hold"));
  CHECK_THAT(save_error(path, {{"a", at::ones({2, 2}).to_sparse()}}), ContainsSubstring("sparse"));
  CHECK_THAT(save_error(folder / "no" / "a.safetensors", {{"a", ones}}), ContainsSubstring("create the folder first"));
  CHECK(folder.read("a.safetensors") == before);
  CHECK(folder.count() == 1);
}

TEST_CASE("a disk that fills up while saving leaves the old file and no other") {
  const TestFolder folder;
  save_safetensors(folder / "a.safetensors", {{"a", at::ones({2})}});
  const auto before = folder.read("a.safetensors");
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{100'000, old.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  const auto error = save_error(folder / "a.safetensors", {{"a", at::ones({100'000})}});
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  CHECK_THAT(error, ContainsSubstring("cannot write"));
  CHECK_THAT(error, ContainsSubstring("unchanged"));
  CHECK(folder.read("a.safetensors") == before);
  CHECK(folder.count() == 1);
}
