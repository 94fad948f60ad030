"""Documents in the gateway: searched, and answered from.

version     a version that can be searched
attending   what every request gets: a lease, a clock, errors
bodies      what is asked, read
results     passages, citations and answers as clients get them
searching   `POST /models/{name}/search`
knowledge   chat models and what they know, brought together
asking      `POST /models/{name}/ask`
rows        what the prediction log keeps
metrics     what Prometheus scrapes
schemas     what `/openapi.json` says
"""
