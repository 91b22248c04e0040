#include <map>
#include <optional>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/strings.h>
#include <antiphon/config/text.h>
#include <antiphon/config/value.h>

#include <fmt/format.h>

namespace antiphon::config {
namespace {

namespace fs = std::filesystem;
constexpr uint64_t largest_file = 16 << 20;
constexpr size_t longest_chain = 32;

// An absolute path relative to the working directory if that is shorter; else unchanged.
fs::path shown(const fs::path& path) {
  if (!path.is_absolute()) return path;
  std::error_code ignored;
  const fs::path relative = path.lexically_relative(fs::current_path(ignored));
  return !relative.empty() && relative.native().size() < path.native().size() ? relative : path;
}

// The same of every name of a file; links are followed. The path itself if they lead to no name: an open file that was
// removed (/dev/stdin), or nothing, which reading it says.
fs::path identity_of(const fs::path& path) {
  std::error_code unknown;
  auto identity = fs::weakly_canonical(path, unknown);
  return unknown ? path : identity;
}

struct Parent {
  std::string file;
  Location where;
};

std::vector<Parent> parents(const Value& extends) {
  std::vector<Parent> out;
  if (const auto* file = extends.get_if<std::string>()) return {{*file, extends.where}};
  if (const auto* list = extends.get_if<Value::Array>()) {
    for (const auto& item : *list) {
      const auto* file = item.get_if<std::string>();
      if (!file)
        fail(ErrorKind::config,
             fmt::format("{}: 'extends' lists files as strings, got {}", item.where.str(), in_words(item)));
      out.push_back({*file, item.where});
    }
    return out;
  }
  fail(ErrorKind::config, fmt::format("{}: 'extends' must be a file name or a list of them, got {}",
                                      extends.where.str(), in_words(extends)));
}

class Resolver {
 public:
  Value load(const fs::path& path) {
    const fs::path identity = identity_of(path);
    if (const auto known = done_.find(identity); known != done_.end()) return known->second;
    chain_.push_back({identity, shown(path).string()});
    Value own = parse_toml(read_file(path, ErrorKind::config, largest_file), chain_.back().name);
    Value whole = with_parents(std::move(own), path.parent_path());
    chain_.pop_back();
    return done_.emplace(identity, std::move(whole)).first->second;
  }

 private:
  struct Link {
    fs::path identity;
    std::string name;
  };

  Value with_parents(Value own, const fs::path& folder) {
    auto& table = *own.get_if<Value::Table>();
    const auto extends = table.find("extends");
    if (extends == table.end()) return own;
    const Value list = std::move(extends->second);
    table.erase(extends);
    Value base{Value::Table{}, own.where};
    for (const auto& parent : parents(list)) merge(base, load_parent(parent, folder));
    merge(base, own);
    return base;
  }

  Value load_parent(const Parent& parent, const fs::path& folder) {
    const fs::path path = (folder / parent.file).lexically_normal();
    if (!path_exists(path, ErrorKind::config)) {
      fail(ErrorKind::config,
           fmt::format("{}: extends {}, but there is no file {}", parent.where.str(), in_quotes(parent.file),
                       shown(path).string()),
           "paths in 'extends' are relative to the file that holds them");
    }
    refuse_cycle(parent, identity_of(path), shown(path).string());
    return load(path);
  }

  void refuse_cycle(const Parent& parent, const fs::path& identity, const std::string& name) const {
    std::vector<std::string> names;
    std::optional<size_t> start;
    for (const auto& link : chain_) {
      if (link.identity == identity) start = names.size();
      names.push_back(link.name);
    }
    names.push_back(name);
    if (start) {
      const std::vector<std::string> cycle(names.begin() + static_cast<std::ptrdiff_t>(*start), names.end());
      fail(ErrorKind::config,
           fmt::format("{}: 'extends' goes in a circle: {}", parent.where.str(), join(cycle, " -> ")));
    }
    if (chain_.size() >= longest_chain) {
      fail(ErrorKind::config, fmt::format("{}: more than {} files extend one another: {}", parent.where.str(),
                                          longest_chain, join(names, " -> ")));
    }
  }

  std::vector<Link> chain_;
  std::map<fs::path, Value> done_;
};

}  // namespace

Value load_toml(const fs::path& path) { return Resolver().load(path); }

}  // namespace antiphon::config
