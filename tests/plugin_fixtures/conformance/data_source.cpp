#include <antiphon/base/files.h>
#include <antiphon/base/strings.h>
#include <antiphon/component/data_source.h>

#include "faulty.h"

namespace antiphon::fixture {
namespace data_source {
namespace {

enum class Fault { none, any_file, from_zero, by_name, empty_too, first_again, other_columns, loses_one };

// JSON lines; `first_again`: to be read from the beginning to the end, and no position is heeded.
template <Fault fault>
class Lines : public Records {
 public:
  explicit Lines(const std::filesystem::path& path, bool without_last = false) {
    const auto bytes = read_file(path, ErrorKind::data);
    fingerprint_ = fault == Fault::by_name ? path.string() : content_hash(bytes);
    for (const auto& line : split(bytes, '\n'))
      if (!line.empty()) lines_.push_back(line);
    if (without_last) lines_.pop_back();
    if (lines_.empty() && fault != Fault::empty_too) fail(ErrorKind::data, path.string() + " has no lines");
  }
  std::optional<int64_t> size() const override {
    if (fault == Fault::first_again) return std::nullopt;
    return static_cast<int64_t>(lines_.size());
  }
  int64_t number(int64_t index) const override { return index + (fault == Fault::from_zero ? 0 : 1); }
  DataRecord record(int64_t index) const override { return {lines_[static_cast<size_t>(index)], number(index)}; }
  std::optional<Step> step(const std::string& position) const override {
    thread_local int64_t next = 0;
    if (position.empty()) next = 0;
    if (next == static_cast<int64_t>(lines_.size())) return std::nullopt;
    const auto at = next++;
    return Step{record(at), "on"};
  }
  std::string fingerprint() const override { return fingerprint_; }

 private:
  std::vector<std::string> lines_;
  std::string fingerprint_;
};

template <Fault fault>
class Source : public DataSource {
 public:
  bool recognises(const FileStart& start) const override {
    return fault == Fault::any_file || start.bytes.starts_with("{");
  }
  std::unique_ptr<Records> open(const std::filesystem::path& path) const override {
    return std::make_unique<Lines<fault>>(path);
  }
  std::unique_ptr<Records> open_without(const std::filesystem::path& path,
                                        const std::set<std::string>&) const override {
    return std::make_unique<Lines<fault>>(path, fault == Fault::loses_one);
  }
  std::optional<std::set<std::string>> columns(const std::filesystem::path&) const override {
    if (fault == Fault::other_columns) return std::set<std::string>{"id", "question"};
    return std::nullopt;
  }
};

}  // namespace
}  // namespace data_source

void add_sources(plugin::Registrar& registrar) {
  using namespace data_source;
  register_component<DataSource, Source<Fault::none>>(registrar, "sound", "");
  register_component<DataSource, Source<Fault::any_file>>(registrar, "any_file", "recognises whatever it is");
  register_component<DataSource, Source<Fault::from_zero>>(registrar, "from_zero", "counts so");
  register_component<DataSource, Source<Fault::by_name>>(registrar, "by_name", "a fingerprint of the path");
  register_component<DataSource, Source<Fault::empty_too>>(registrar, "empty_too", "opens what has no records");
  register_component<DataSource, Source<Fault::first_again>>(registrar, "first_again", "remembers where it is itself");
  register_component<DataSource, Source<Fault::other_columns>>(registrar, "other_columns", "names too few");
  register_component<DataSource, Source<Fault::loses_one>>(registrar, "loses_one", "of the records, with a key");
}

}  // namespace antiphon::fixture
