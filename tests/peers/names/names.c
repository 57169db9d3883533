/* The system's resolver with one more name, for tests: "zipkin.test" is this machine while the file that NAMES_FILE names is
 * there, and cannot be looked up just now while it is not. Preloaded into a program it takes the place of getaddrinfo. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int lookup(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    lookup *system = (lookup *)dlsym(RTLD_NEXT, "getaddrinfo");
    if (node && strcmp(node, "zipkin.test") == 0) {
        const char *file = getenv("NAMES_FILE");
        if (!file || access(file, F_OK) != 0) {
            return EAI_AGAIN;
        }
        node = "127.0.0.1";
    }
    return system(node, service, hints, found);
}
