// Small requests to a server over plain HTTP (RFC 9112, version 1.0: one connection for each).
#pragma once
#include <string>

namespace antiphon::train {

struct HttpAddress {
  std::string host, port = "80", path = {};  // path: without a slash at its end
};
// "http://host:5000/prefix". Error(config) that names `key` for anything else; https is none.
HttpAddress http_address(const std::string& uri, const std::string& key);

struct HttpAnswer {
  int status = 0;  // 0: there was none
  std::string body, problem;
};
// `body` is JSON; empty: a GET. `authorization`: the value of that header; empty: none. Ends after `seconds`, whatever
// the server does.
HttpAnswer http_request(const HttpAddress& address, const std::string& path, const std::string& body,
                        const std::string& authorization, int seconds);

// A text as it may stand in the query of an address.
std::string url_encoded(const std::string& text);

}  // namespace antiphon::train
