// dirkv in C++: open, create, upsert a batch, swap, list, expire, and a lock that goes from one process to another.
// Handles, lists and locks free themselves (see dirkv.hpp), and what goes wrong is thrown.
//
//     c++ -std=c++17 story.cpp -ldirkv -o story && ./story /tmp/a-new-directory

#include "dirkv.hpp"

#include <cstdio>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <sys/wait.h>
#include <unistd.h>

using namespace std::chrono_literals;

static std::ostream &tell(const char *what) {
    return std::cout << std::left << std::setw(15) << what;
}

// The call must be refused with this status.
template <class F> static void refused(dirkv_status wanted, const char *what, F &&f) {
    try {
        f();
    } catch (const dirkv::Error &error) {
        if (error.status() != wanted) {
            throw;
        }
        tell(what) << error.what() << std::endl;
        return;
    }
    throw std::runtime_error(std::string(what) + " wasn't refused");
}

static void values(dirkv::Store &store) {
    // A value lives in a bucket under a key. Create puts it only if none is there.
    store.create("shop/fruit", "apple", "3");
    tell("create") << "apple = 3\n";
    refused(DIRKV_ALREADY_EXISTS, "create again", [&] { store.create("shop/fruit", "apple", "8"); });

    // A batch happens as a whole or not at all, whoever looks and whatever crashes.
    store.upsert("shop/fruit", {{"fig", "7"}, {"pear", "5"}, {"plum", "9"}});
    tell("batch") << "fig, pear and plum at once\n";

    // Sell one apple. If somebody else was quicker, the value isn't 3 any more, and the swap is refused.
    store.compare_and_swap("shop/fruit", "apple", "2", "3");
    tell("swap") << "apple from 3 to 2\n";
    refused(DIRKV_COMPARE_FAILED, "swap again", [&] { store.compare_and_swap("shop/fruit", "apple", "2", "3"); });

    tell("get") << "apple = " << store.get("shop/fruit", "apple").value() << "\n";
    tell("list");
    for (const auto &item : store.items("shop/fruit")) {
        std::cout << (item.name == "apple" ? "" : " ") << item.name << "=" << item.value;
    }
    std::cout << "\n";
}

// A clock that is a day ahead. The context is what was given with it.
static std::int64_t tomorrow(void *) {
    const auto now = std::chrono::system_clock::now() + 24h;
    return std::chrono::nanoseconds(now.time_since_epoch()).count();
}

static void expire(dirkv::Store &store, const std::string &path) {
    store.upsert("shop", "offer", "half price", 1h);
    tell("offer today") << store.get("shop", "offer").value() << "\n";

    // One process may open a store several times; this handle lives by another clock.
    const dirkv::Store later(dirkv::Params{{{"path", path}}, tomorrow});
    if (later.get("shop", "offer")) {
        throw std::runtime_error("the offer outlived its hour");
    }
    tell("offer tomorrow") << "NOT_FOUND\n";
}

// The second process. It tries, sees that the till is taken, says so by one byte, and waits for it.
static void second_process(const std::string &path, int to_first) {
    const dirkv::Store store(path);
    refused(DIRKV_TIMEOUT, "second tries", [&] { dirkv::Lock(store, "till", 30s, 0s); });
    if (write(to_first, "w", 1) != 1) {
        throw std::runtime_error("the first process is gone");
    }
    dirkv::Lock lock(store, "till", 30s, 60s);
    tell("second") << "has the till, fence " << lock.fence() << "\n";
    lock.release();
}

static void run(const std::string &path) {
    // The second process is forked before anything is opened: a child may not use its parent's handles (it would get
    // DIRKV_FORKED), but it opens its own. It begins when the first holds the lock.
    int to_second[2], to_first[2];
    if (pipe(to_second) != 0 || pipe(to_first) != 0) {
        throw std::runtime_error("no pipe");
    }
    const pid_t pid = fork();
    if (pid < 0) {
        throw std::runtime_error("no second process");
    }
    char byte;
    if (pid == 0) {
        close(to_second[1]);
        if (read(to_second[0], &byte, 1) == 1) {
            second_process(path, to_first[1]);
        }
        return;
    }
    close(to_second[0]);
    close(to_first[1]);

    dirkv::Store store(path);
    tell("open") << "dirkv " << dirkv_version() << "\n";
    values(store);
    expire(store, path);

    // A lock is a lease: should its holder die, it ends by itself, here after 30 s. The fence is a number that only grows:
    // who writes somewhere else under the lock shows it there, so that a holder who came too late is recognized.
    dirkv::Lock lock(store, "till", 30s);
    tell("first") << "has the till, fence " << lock.fence() << std::endl;
    if (write(to_second[1], "g", 1) != 1 || read(to_first[0], &byte, 1) != 1) {
        throw std::runtime_error("the second process is gone");
    }
    tell("first") << "gives it back" << std::endl;
    lock.release();
    int status = -1;
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        throw std::runtime_error("the second process failed");
    }
    std::cout << "all is well\n";
}

int main(int argc, char **argv) {
    if (argc != 2) {
        std::cerr << "usage: " << argv[0] << " DIRECTORY\n";
        return 2;
    }
    try {
        run(argv[1]);
        return std::cout.flush() ? 0 : 1;
    } catch (const std::exception &error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
