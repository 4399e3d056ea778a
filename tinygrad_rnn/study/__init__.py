"""The study of a network on a text: network (what it is and learns), report and plots, job."""
