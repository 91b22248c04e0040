#include <antiphon/component/data_source.h>

#include <antiphon/base/error.h>

namespace antiphon {

std::optional<Records::Step> Records::step(const std::string&) const {
  fail(ErrorKind::plugin, "a data source has neither a size nor steps", "override Records::step()");
}

}  // namespace antiphon
