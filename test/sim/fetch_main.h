/* The part of plait-sim that is about the fetch. */
#ifndef PLAIT_TEST_FETCH_MAIN_H
#define PLAIT_TEST_FETCH_MAIN_H

/* `argv[0]` is "fetch". Returns the exit status. */
int fetch_main(int argc, char **argv);

#endif
