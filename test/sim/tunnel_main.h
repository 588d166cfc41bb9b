/* The part of plait-sim that is about the tunnel. */
#ifndef PLAIT_TEST_TUNNEL_MAIN_H
#define PLAIT_TEST_TUNNEL_MAIN_H

/* `argv[0]` is "tunnel". Returns the exit status. */
int tunnel_main(int argc, char **argv);

#endif
