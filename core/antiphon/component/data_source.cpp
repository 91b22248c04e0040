#include <antiphon/component/data_source.h>

#include <antiphon/base/error.h>

namespace antiphon {

namespace {

[[noreturn]] void refuse_access(const char* function) {
  fail(ErrorKind::plugin, "a data source has neither a size and records by number nor steps",
       std::string("override Records::") + function);
}

}  // namespace

DataRecord Records::record(int64_t) const { refuse_access("record()"); }
int64_t Records::number(int64_t) const { refuse_access("number()"); }
std::optional<Records::Step> Records::step(const std::string&) const { refuse_access("step()"); }

std::unique_ptr<Records> DataSource::open_without(const std::filesystem::path& path,
                                                  const std::set<std::string>&) const {
  return open(path);
}

std::optional<std::set<std::string>> DataSource::columns(const std::filesystem::path&) const { return std::nullopt; }

std::unique_ptr<RecordSink> DataSource::create(const std::filesystem::path&) const {
  fail(ErrorKind::plugin, "a data source names an extension of what it writes, and writes nothing",
       "override DataSource::create()");
}

}  // namespace antiphon
