// The library as C++ sees it: through the header of examples/cpp, with threads that share one store. Gets an empty folder,
// prints nothing but what fails, and ends with 0.

#include "dirkv.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using dirkv::Store;

namespace {

std::atomic<int> failures{0};

void check(bool holds, int line, const char *what) {
    if (!holds) {
        std::fprintf(stderr, "line %d: %s\n", line, what);
        failures++;
    }
}

// The call is refused with this status, and the message names the thing concerned.
void refused(dirkv_status wanted, const char *named, int line, const std::function<void()> &call) {
    try {
        call();
        check(false, line, "it wasn't refused");
    } catch (const dirkv::Error &error) {
        check(error.status() == wanted, line, error.what());
        check(std::string(error.what()).find(named) != std::string::npos, line, error.what());
    }
}

#define CHECK(condition) check((condition), __LINE__, #condition)
#define REFUSED(status, named, ...) refused((status), (named), __LINE__, [&] { __VA_ARGS__; })

void statuses(const std::string &path) {
    Store s(path);
    const auto revision = s.create("b", "k", "1");
    REFUSED(DIRKV_ALREADY_EXISTS, "\"k\"", s.create("b", "k", "2"));
    REFUSED(DIRKV_NOT_FOUND, "\"other\"", s.remove("b", "other"));
    REFUSED(DIRKV_COMPARE_FAILED, "\"k\"", s.compare_and_swap("b", "k", "2", "0"));
    CHECK(s.compare_and_swap("b", "k", "2", "1") > revision);
    REFUSED(DIRKV_BAD_PARAMETER, "TTL", s.upsert("b", "k", "", -1ns));
    REFUSED(DIRKV_BAD_PARAMETER, "key", s.upsert("b", "a/b", ""));
    REFUSED(DIRKV_LIMIT_EXCEEDED, "", s.upsert("b", "large", std::string((64 << 20) + 1, 'x')));
    REFUSED(DIRKV_BAD_PARAMETER, "colour", Store(dirkv::Params{{{"path", path}, {"colour", "blue"}}}));
    REFUSED(DIRKV_UNSUPPORTED, "sync", Store(dirkv::Params{{{"path", path}, {"sync", "os"}}}));
    REFUSED(DIRKV_READ_ONLY, "", Store(dirkv::Params{{{"path", path}, {"read_only", "true"}}}).upsert("b", "k", ""));
    CHECK(!s.get("b", "other"));
    CHECK(s.get("b", "k") == "2");

    // The calls without a method are made as C makes them.
    char small[1] = {'x'};
    std::size_t len = 0;
    s.upsert("b", "k", std::string("a\0b", 3));
    REFUSED(DIRKV_BUFFER_TOO_SMALL, "\"k\"", dirkv::call([&](auto err) {
        return dirkv_get_val_into(s.get(), "b", "k", small, sizeof small, &len, err);
    }));
    CHECK(len == 3 && small[0] == 'x');
    dirkv::call([&](auto err) { return dirkv_check(s.get(), err); });
}

void lists(const std::string &path) {
    Store s(path);
    const auto revision = s.upsert("x/y", {{"b", "2"}, {"a", "0"}, {"c", "", 1h}, {"a", "1"}});
    s.upsert("x/y/a", "deep", "3");
    const auto names = [](const std::vector<dirkv::Entry> &entries) {
        std::string all;
        for (const auto &entry : entries) {
            all += entry.name + ":" + std::to_string(entry.kind) + " ";
        }
        return all;
    };
    CHECK(names(s.keys("")) == "x:2 ");
    CHECK(names(s.keys("x/y")) == "a:1 a:2 b:1 c:1 ");
    CHECK(names(s.keys("x/y", "a", 1)) == "b:1 ");
    CHECK(s.keys("nothing").empty());
    CHECK(names(s.items("x", DIRKV_RECURSIVE)) == "y/a:3 y/a/deep:3 y/b:3 y/c:3 ");
    const auto items = s.items("x/y");
    CHECK(items.size() == 3 && items[0].value == "1" && items[1].value == "2" && items[2].value.empty());
    for (const auto &item : items) {
        CHECK(item.revision == revision && (item.expires != 0) == (item.name == "c"));
    }
}

std::atomic<std::int64_t> now{1'000'000'000'000'000'000};

std::int64_t clock_of(void *context) {
    return static_cast<std::atomic<std::int64_t> *>(context)->load();
}

void expiry(const std::string &path) {
    Store s(dirkv::Params{{{"path", path}}, clock_of, &now});
    s.create("b", "k", "v", 1min);
    now += dirkv::nanoseconds(1min).count() - 1;
    CHECK(s.get("b", "k") == "v");
    now += 1;
    CHECK(!s.get("b", "k") && s.keys("").empty());
    REFUSED(DIRKV_COMPARE_FAILED, "\"k\"", s.compare_and_swap("b", "k", "w", "v"));
    s.create("b", "k", "again");
}

void locks(const std::string &path) {
    const Store s(path);
    std::uint64_t fence;
    {
        const dirkv::Lock lock(s, "l", 30s);
        fence = lock.fence();
        REFUSED(DIRKV_TIMEOUT, "\"l\"", dirkv::Lock(s, "l", 30s, 1ms));
    }
    dirkv::Lock later(s, "l", 30s, 0s);
    CHECK(later.fence() > fence);
    later.release();
    REFUSED(DIRKV_BAD_PARAMETER, "max_lock_ttl", dirkv::Lock(s, "l", 1h));
}

void threads(const std::string &path) {
    constexpr int many = 8, each = 50;
    Store s(path);
    s.create("b", "n", "0");
    std::vector<std::thread> all;
    for (int i = 0; i < many; i++) {
        all.emplace_back([&] {
            for (int done = 0; done < each;) {
                const std::string old = s.get("b", "n").value_or("gone");
                try {
                    s.compare_and_swap("b", "n", std::to_string(std::atoi(old.c_str()) + 1), old);
                    done++;
                } catch (const dirkv::Error &error) {
                    if (error.status() != DIRKV_COMPARE_FAILED) {
                        check(false, __LINE__, error.what());
                        return;
                    }
                }
            }
        });
    }
    for (auto &thread : all) {
        thread.join();
    }
    CHECK(s.get("b", "n") == std::to_string(many * each));
}

void close_wakes_who_waits(const std::string &path) {
    Store s(path);
    std::atomic<bool> ended{false};
    const dirkv::Lock held(s, "l", 30s);
    std::thread waiter([&] {
        REFUSED(DIRKV_CLOSED, "", dirkv::Lock(s, "l", 30s));
        ended = true;
    });
    std::this_thread::sleep_for(50ms);
    CHECK(!ended);
    s.close();
    waiter.join();
    REFUSED(DIRKV_CLOSED, "", s.get("b", "k"));
    REFUSED(DIRKV_CLOSED, "", s.close());
}

}  // namespace

int main(int argc, char **argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    const std::string folder = argv[1];
    try {
        statuses(folder + "/statuses");
        lists(folder + "/lists");
        expiry(folder + "/expiry");
        locks(folder + "/locks");
        threads(folder + "/threads");
        close_wakes_who_waits(folder + "/close");
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return failures == 0 ? 0 : 1;
}
