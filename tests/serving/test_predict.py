from .graphs import DELAY_RECORD


def test_one_record(served):
    answer = served.predict()
    assert answer.status_code == 200, answer.text
    print(answer.text, answer.headers)
    assert served.client.get("/readyz").json()
    print(served.client.get("/metrics").text[-2000:])
    print(served.client.get("/models/delay").text)
    print(served.log_lines())
