#include <antiphon/data/record_set.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/signals.h>
#include <antiphon/base/strings.h>
#include <antiphon/component/record/stepped.h>
#include <antiphon/data/components.h>

#include <algorithm>

namespace antiphon::data {
namespace {

constexpr int64_t kLookedAt = 100;  // records from which is told how a set is read

std::string start_of(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return {};
  return OpenFile(path, ErrorKind::data).read(0, kFileStartBytes);
}

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& bytes,
                         const std::vector<std::string>& tried, const std::vector<std::string>& fitting) {
  const auto name = shown(path.string());
  if (fitting.size() > 1)
    fail(ErrorKind::data, fmt::format("{} may be read as {}", name, join(fitting, " and as ")),
         fmt::format("say which: source = \"{}\"", fitting.front()));
  if (trim(bytes).empty()) {
    OpenFile(path, ErrorKind::data);  // says what is wrong if it is missing
    fail(ErrorKind::data, name + " holds no samples", "each line, or each element of one list, is a JSON object");
  }
  fail(ErrorKind::data, fmt::format("{} is of no form that is known; tried: {}", name, join(tried, ", ")),
       "see docs/data.md for what is read, or name a source that reads it: source = \"…\"");
}

Named<DataSource> find_source(const SourceOptions& options) {
  if (options.source != kAuto) return built<DataSource>(options.source, options.source_options, "source_options");
  auto all = installed<DataSource>();
  const std::filesystem::path path = options.path;
  const auto bytes = start_of(path);
  std::vector<std::string> tried, fitting;
  Named<DataSource>* found = nullptr;
  for (auto& one : all) {
    tried.push_back(one.name);
    if (!one.component->recognises({path, bytes})) continue;
    fitting.push_back(one.name), found = &one;
  }
  if (fitting.size() != 1) refuse(path, bytes, tried, fitting);
  return std::move(*found);
}

std::string text_of_options(const config::Value& options) {
  const auto* table = options.get_if<config::Value::Table>();
  return table && !table->empty() ? " " + config::to_json(options, -1) : "";
}

}  // namespace

RecordSet::RecordSet(const SourceOptions& options, int64_t candidates)
    : path_(options.path),
      media_folder_(options.media_folder.empty() ? path_.parent_path() : std::filesystem::path(options.media_folder)),
      format_(options.format),
      options_(text_of_options(options.format_options)),
      source_options_(text_of_options(options.source_options)),
      reader_(options, candidates) {
  if (!options.media_folder.empty() && !is_folder(media_folder_, ErrorKind::data))
    fail(ErrorKind::data, fmt::format("media_folder = \"{}\" is not a folder", shown(options.media_folder)),
         "name the folder that the paths of the records begin in");
  const auto source = find_source(options);
  records_ = records::with_size(source.component->open_without(path_, reader_.names().ignored()), path_.string());
  const auto size = records_->size().value();
  size_ = options.max_samples > 0 ? std::min(size, options.max_samples) : size;
  if (size_ < size) limited_ = fmt::format(" first {}", size_);
  check_names(*source.component);
  read_by_ = source.name + " as " + formats();
}

// Takes out what is there: records are read until each key was, mostly the first alone. Returns the keys of the first.
std::vector<std::string> RecordSet::look_for(std::set<std::string>& keys) const {
  std::vector<std::string> first;
  for (int64_t i = 0; i < size_ && !keys.empty(); ++i) {
    stop_if_requested();
    try {
      const auto there = reader_.keys_of(records_->record(i));
      for (const auto& key : there) keys.erase(key);
      if (first.empty()) first = there;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
    }
  }
  return first;
}

// What no record has was meant to be another key. If no record can be read, formats() or the samples say so.
void RecordSet::check_names(const DataSource& source) const {
  auto missing = reader_.names().all();
  if (missing.empty()) return;
  std::vector<std::string> there;
  if (const auto columns = source.columns(path_)) {
    for (const auto& column : *columns) missing.erase(column);
    there.assign(columns->begin(), columns->end());
  } else {
    there = look_for(missing);
  }
  if (missing.empty() || there.empty()) return;
  fail(ErrorKind::data,
       fmt::format("{}: no record has the key{} {}, which `rename` or `ignore` of this source names",
                   shown(path_.string()), missing.size() > 1 ? "s" : "", quoted({missing.begin(), missing.end()})),
       fmt::format("take it out, or name one that is there: {}", quoted(there)));
}

// Those of the first records, each of which is read by its own keys. If there are none, it is not worth beginning.
std::string RecordSet::formats() const {
  if (format_ != kAuto) return format_;
  std::set<std::string> found;
  std::string problem, fix;
  const auto looked_at = std::min(size_, kLookedAt);
  for (int64_t i = 0; i < looked_at; ++i) {
    try {
      found.insert(reader_.format_of(records_->record(i)));
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      if (!problem.empty()) continue;
      problem = fmt::format("{}:{}: {}", shown(path_.string()), line(i), error.message()), fix = error.fix();
    }
  }
  if (found.empty())
    fail(ErrorKind::data, fmt::format("of the first {} records none can be read; {}", looked_at, problem),
         fix.empty() ? "see docs/data.md for the layouts, or name one: format = \"…\"" : fix);
  return join({found.begin(), found.end()}, " and ");
}

void RecordSet::tell() const {
  log::info(fmt::format("{}: {} records{}, read by {}", shown(path_.string()), size_,
                        limited_.empty() ? "" : fmt::format(" of {} (max_samples)", *records_->size()), read_by_));
}

std::optional<int64_t> RecordSet::at_line(int64_t number) const {
  int64_t low = 0, high = size_;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    line(middle) < number ? low = middle + 1 : high = middle;
  }
  return low < size_ && line(low) == number ? std::optional(low) : std::nullopt;
}

Sample RecordSet::sample(int64_t index, uint64_t draw) const {
  const auto record = records_->record(index);
  auto sample = reader_.read(record, media_folder_, draw);
  sample.file = path_, sample.line = record.number;
  if (sample.id.empty()) sample.id = fmt::format("{}:{}", path_.filename().string(), record.number);
  return sample;
}

std::string RecordSet::fingerprint() const {
  return (format_ == kAuto ? records_->fingerprint() : records_->fingerprint() + " as " + format_ + options_) +
         reader_.fingerprint() + source_options_ + limited_;
}

std::unique_ptr<RecordSink> create_set(const std::filesystem::path& path, const std::string& extension) {
  for (const auto& [name, source] : installed<DataSource>())
    if (!extension.empty() && source->written_extension() == extension) return source->create(path);
  return nullptr;
}

}  // namespace antiphon::data
